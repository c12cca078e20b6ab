"""Anomalies as plain values, and their file: `anomalies.json`.

The names are those of TensorFlow Data Validation (`anomalies.proto`, enum AnomalyInfo.Type), so that
reports of both can be read together. Finding them is the work of `validate`.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tidemill.data.schema import Severity
from tidemill.errors import DataError

FILE = "anomalies.json"
FORMAT = "tidemill.anomalies/1"

ANOMALIES: Mapping[str, Severity] = {
    "SCHEMA_MISSING_COLUMN": "error",
    "SCHEMA_NEW_COLUMN": "warning",
    "UNEXPECTED_DATA_TYPE": "error",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "error",
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "error",
    "INT_TYPE_SMALL_INT": "error",
    "INT_TYPE_BIG_INT": "error",
    "FLOAT_TYPE_SMALL_FLOAT": "error",
    "FLOAT_TYPE_BIG_FLOAT": "error",
    "FLOAT_TYPE_HAS_NAN": "error",
    "FLOAT_TYPE_HAS_INF": "error",
    "DATASET_LOW_NUM_EXAMPLES": "error",
    "DATASET_HIGH_NUM_EXAMPLES": "error",
    "COMPARATOR_LOW_NUM_EXAMPLES": "error",
    "COMPARATOR_HIGH_NUM_EXAMPLES": "error",
    "COMPARATOR_L_INFTY_HIGH": "error",
    "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH": "error",
    "COMPARATOR_CONTROL_DATA_MISSING": "error",
    "COMPARATOR_TREATMENT_DATA_MISSING": "error",
}
"""Every anomaly that is looked for, with its usual severity; a schema's `severity` overrides it.

A new column is a warning only: components read the columns they know."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomaly:
    """One way in which data breaks the schema."""

    name: str
    severity: Severity
    split: str
    """Empty for an anomaly of all splits together."""
    column: str
    """Empty for an anomaly of the rows as a whole."""
    short: str
    """A few words, without numbers."""
    long: str
    """One sentence with the numbers."""

    def __str__(self) -> str:
        place = "/".join(part for part in (self.split, self.column) if part)
        return f"{self.severity}: {self.name}{f' in {place}' if place else ''}: {self.long}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """A distance from the baseline, kept whether or not it is too large."""

    split: str
    column: str
    """Empty for the rows as a whole."""
    measure: str
    """`linf`, `jsd` or `examples_ratio`."""
    value: float
    threshold: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Anomalies:
    """All that was found, in order of splits and columns."""

    anomalies: tuple[Anomaly, ...]
    measures: tuple[Measure, ...] = ()

    @property
    def errors(self) -> tuple[Anomaly, ...]:
        """The anomalies that keep the data from being used."""
        return tuple(a for a in self.anomalies if a.severity == "error")

    def to_json(self) -> dict[str, Any]:
        """Plain JSON, inverse of `from_json`."""
        return {
            "format": FORMAT,
            "anomalies": [dataclasses.asdict(a) for a in self.anomalies],
            "measures": [dataclasses.asdict(m) for m in self.measures],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Anomalies:
        """Inverse of `to_json`. KeyError or TypeError when `value` is something else."""
        return cls(
            anomalies=tuple(Anomaly(**a) for a in value["anomalies"]),
            measures=tuple(Measure(**m) for m in value["measures"]),
        )


def write_anomalies(folder: Path, anomalies: Anomalies) -> None:
    """Write the file."""
    text = json.dumps(anomalies.to_json(), ensure_ascii=False, allow_nan=False, indent=1)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read_anomalies(folder: Path) -> Anomalies:
    """Read the file of an artifact. DataError when it is absent, broken or of another format."""
    path = folder / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] != FORMAT:
            raise DataError(f"format is {value['format']!r}, expected {FORMAT!r}", where=str(path))
        return Anomalies.from_json(value)
    except FileNotFoundError:
        raise DataError("there are no anomalies here", where=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not readable as anomalies: {error!r}", where=str(path)) from error
