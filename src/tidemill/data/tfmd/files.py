"""Messages of TensorFlow Metadata in files: text (`.pbtxt`) as TFX writes and people edit, or binary."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from tidemill.errors import DataError

if TYPE_CHECKING:
    from google.protobuf.message import Message

M = TypeVar("M", bound="Message")

TEXT_SUFFIXES = (".pbtxt", ".textproto", ".prototxt", ".txt")
INSTALL = "pip install 'tidemill[tfmd]'"


def proto_module(name: str) -> Any:
    """`schema_pb2`, `statistics_pb2` or `anomalies_pb2`. DataError when the extra is not installed."""
    import importlib

    try:
        return importlib.import_module(f"tensorflow_metadata.proto.v0.{name}")
    except ImportError as error:
        raise DataError(f"TensorFlow Metadata is not installed: {error}", hint=INSTALL) from error


def read_message(path: Path, kind: type[M]) -> M:
    """A file as a message; text by its suffix, otherwise binary. DataError when it is neither."""
    from google.protobuf import text_format
    from google.protobuf.message import DecodeError

    try:
        content = path.read_bytes()
        if path.suffix in TEXT_SUFFIXES:
            return text_format.Parse(content.decode("utf-8"), kind())
        return kind.FromString(content)
    except FileNotFoundError:
        raise DataError("the file does not exist", where=str(path)) from None
    except text_format.ParseError as error:
        line = error.GetLine()
        where = f"{path}:{line}" if line is not None else str(path)
        raise DataError(f"not a {kind.__name__} as text: {error}", where=where) from error
    except (OSError, UnicodeDecodeError, DecodeError) as error:
        what = f"not a {kind.__name__} of TensorFlow Metadata: {error}"
        raise DataError(what, where=str(path), hint="text files must end in .pbtxt") from error


def write_message(path: Path, message: Message) -> None:
    """Write a message: as text by its suffix, otherwise binary, the same bytes for the same message."""
    if path.suffix in TEXT_SUFFIXES:
        from google.protobuf import text_format

        path.write_text(text_format.MessageToString(message, as_utf8=True), encoding="utf-8")
    else:
        path.write_bytes(message.SerializeToString(deterministic=True))
