"""Requests and responses of MLMD's service under the name that its users know.

Not made by protoc: descriptors.py makes the classes when this is imported.
"""

from __future__ import annotations

from tidemill.mlmd.descriptors import module_names
from tidemill.mlmd.service_messages import FILE

_names = module_names(FILE)
globals().update(_names)
__all__ = sorted(_names)
