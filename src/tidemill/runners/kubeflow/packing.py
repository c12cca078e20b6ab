"""The IR as one short text, so that a compiled file can carry it to the first task of a run."""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Mapping
from typing import Any

from tidemill.errors import DefinitionError, RunnerError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.types.json import canonical

MOST = 64 * 1024
"""Characters of a packed IR that a compiled file carries: it is part of words of command lines, of which
Linux takes 128 KiB."""
_MOST_UNPACKED = 64 * 2**20


def pack(ir: PipelineIR) -> str:
    """base64 of the compressed JSON."""
    return pack_encoded(codec.encode(ir))


def pack_encoded(encoded: Mapping[str, Any]) -> str:
    """The same of what `codec.encode` gave."""
    return base64.b64encode(zlib.compress(canonical(encoded), 9)).decode("ascii")


def unpack(text: str) -> PipelineIR:
    """Inverse of `pack`. RunnerError for text that nobody packed."""
    try:
        opened = zlib.decompressobj()
        data = opened.decompress(base64.b64decode(text, validate=True), _MOST_UNPACKED)
        if not opened.eof:
            raise ValueError("it is cut off, or larger than any pipeline")
        return codec.loads(data)
    except (ValueError, binascii.Error, zlib.error, DefinitionError) as error:
        raise RunnerError(
            f"the pipeline that came with the task is damaged: {error}",
            hint="compile it again: tidemill compile FILE --to kubeflow",
        ) from None
