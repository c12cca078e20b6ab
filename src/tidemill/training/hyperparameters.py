"""`hyperparameters.json`: what Tuner found best, as Trainer reads it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.errors import DataError

FILE = "hyperparameters.json"
FORMAT = "tidemill.hyperparameters/1"


def write_hyperparameters(folder: Path, parameters: Mapping[str, Any], about: Mapping[str, Any]) -> None:
    """Write the parameters; `about` says where they come from: metric, value, trial."""
    record = {"format": FORMAT, "parameters": dict(parameters), **about}
    text = json.dumps(record, indent=1, sort_keys=True)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_hyperparameters(folder: Path) -> dict[str, Any]:
    """The parameters; DataError when the file is missing or damaged."""
    path = folder / FILE
    try:
        record = json.loads(path.read_bytes())
        if record.get("format") != FORMAT:
            raise DataError(f"not hyperparameters of this version: {record.get('format')!r}", where=str(path))
        return dict(record["parameters"])
    except FileNotFoundError:
        raise DataError(f"there is no {FILE}", where=str(folder), hint="were they made by Tuner?") from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(f"{FILE} is damaged: {error!r}", where=str(path)) from None


def together(folder: Path | None, given: Mapping[str, Any] | None) -> dict[str, Any]:
    """Hyperparameters as given, with those of the artifact's folder in their place."""
    return {**(given or {}), **(read_hyperparameters(folder) if folder else {})}
