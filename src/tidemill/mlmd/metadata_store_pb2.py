"""MLMD's messages under the name that its users know: `metadata_store_pb2.Artifact`.

Not made by protoc: descriptors.py makes the classes when this is imported. They are not interchangeable
with those of the `ml_metadata` package, but their bytes are.
"""

from __future__ import annotations

from tidemill.mlmd.descriptors import module_names
from tidemill.mlmd.store_messages import FILE

_names = module_names(FILE)
globals().update(_names)
__all__ = sorted(_names)
