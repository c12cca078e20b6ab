"""Plain values held by value artifacts: one small JSON file each."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

from tidemill.errors import InvalidOutput, ResolutionError
from tidemill.types.artifact import ValueArtifact
from tidemill.types.json import not_json


def write_value(artifact: type[ValueArtifact], value: Any, folder: Path, *, name: str) -> None:
    """Write a returned value as the artifact's file. InvalidOutput when it has the wrong type."""
    wanted = artifact.VALUE_TYPE
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value)
    why = not_json(value, f"output {name!r}") if wanted is not bytes else ""
    if wanted is not object and type(value) is not wanted:
        why = f"output {name!r} must be {wanted.__name__}, got {type(value).__name__}"
    if why:
        raise InvalidOutput(f"the component returned a wrong value: {why}")
    data = {"bytes": base64.b64encode(value).decode()} if wanted is bytes else value
    (folder / ValueArtifact.FILE).write_text(json.dumps(data, ensure_ascii=False), encoding="utf-8")


def read_value(type_name: str, folder: Path) -> Any:
    """The value in an artifact's folder; ResolutionError when it cannot be read."""
    try:
        data = json.loads((folder / ValueArtifact.FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ResolutionError(
            f"the value of a {type_name} cannot be read: {error}", where=str(folder)
        ) from None
    return base64.b64decode(data["bytes"]) if type_name == "Bytes" else data
