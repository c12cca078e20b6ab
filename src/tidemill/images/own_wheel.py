"""The running tidemill as a wheel, made of its installed files: the same bytes for the same files.

So an image holds the very tidemill whose compiler named it, whether that came from an index, a checkout or an
edited copy, and no build tool and no index is asked. Format: the binary distribution format 1.0 (PEP 427).
"""

from __future__ import annotations

import base64
import hashlib
import io
import zipfile
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

_MOMENT = (1980, 1, 1, 0, 0, 0)
_MODE = 0o644 << 16
_NAME = "tidemill"
_TAG = "py3-none-any"


@dataclass(frozen=True, slots=True)
class OwnWheel:
    """A wheel in memory."""

    name: str
    data: bytes
    version: str

    @property
    def digest(self) -> str:
        """sha256 of the bytes, in hex."""
        return hashlib.sha256(self.data).hexdigest()


@cache
def own_wheel() -> OwnWheel:
    """The wheel of the running tidemill."""
    here = metadata.distribution(_NAME)
    home = Path(__file__).resolve().parents[1]
    files = {
        f"{_NAME}/{path.relative_to(home).as_posix()}": path.read_bytes()
        for path in home.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix not in (".pyc", ".pyo")
    }
    info = f"{_NAME}-{here.version}.dist-info"
    files[f"{info}/METADATA"] = (here.read_text("METADATA") or "").encode()
    files[f"{info}/WHEEL"] = (
        f"Wheel-Version: 1.0\nGenerator: {_NAME}\nRoot-Is-Purelib: true\nTag: {_TAG}\n".encode()
    )
    if points := here.read_text("entry_points.txt"):
        files[f"{info}/entry_points.txt"] = points.encode()
    record = "".join(f"{name},{_hash(files[name])},{len(files[name])}\n" for name in sorted(files))
    files[f"{info}/RECORD"] = f"{record}{info}/RECORD,,\n".encode()
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _MOMENT)
            entry.external_attr, entry.compress_type, entry.create_system = _MODE, zipfile.ZIP_DEFLATED, 3
            archive.writestr(entry, files[name])
    return OwnWheel(f"{_NAME}-{here.version}-{_TAG}.whl", target.getvalue(), here.version)


def _hash(data: bytes) -> str:
    coded = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
    return f"sha256={coded}"
