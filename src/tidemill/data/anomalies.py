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
from typing import Any, Literal

from tidemill.data.schema import Severity
from tidemill.errors import DataError

FILE = "anomalies.json"
FORMAT = "tidemill.anomalies/2"
READABLE = ("tidemill.anomalies/1", FORMAT)
"""The first had no `against` and no `false_alarm`; both mean their defaults."""

ANOMALIES: Mapping[str, Severity] = {
    "SCHEMA_MISSING_COLUMN": "error",
    "SCHEMA_NEW_COLUMN": "warning",
    "SCHEMA_TRAINING_SERVING_SKEW": "error",
    "UNEXPECTED_DATA_TYPE": "error",
    "FEATURE_TYPE_NOT_PRESENT": "error",
    "FEATURE_TYPE_LOW_FRACTION_PRESENT": "error",
    "FEATURE_TYPE_LOW_NUMBER_PRESENT": "error",
    "FEATURE_TYPE_UNEXPECTED_REPEATED": "error",
    "FEATURE_TYPE_NO_VALUES": "error",
    "FEATURE_TYPE_LOW_NUMBER_VALUES": "error",
    "FEATURE_TYPE_HIGH_NUMBER_VALUES": "error",
    "VALUE_NESTEDNESS_MISMATCH": "error",
    "INVALID_FEATURE_SHAPE": "error",
    "FEATURE_TYPE_LOW_UNIQUE": "error",
    "FEATURE_TYPE_HIGH_UNIQUE": "error",
    "FEATURE_TYPE_NO_UNIQUE": "error",
    "ENUM_TYPE_UNEXPECTED_STRING_VALUES": "error",
    "BOOL_TYPE_SMALL_INT": "error",
    "BOOL_TYPE_BIG_INT": "error",
    "BOOL_TYPE_UNEXPECTED_FLOAT": "error",
    "BOOL_TYPE_UNEXPECTED_STRING": "error",
    "INT_TYPE_NOT_INT_STRING": "error",
    "FLOAT_TYPE_STRING_NOT_FLOAT": "error",
    "INT_TYPE_SMALL_INT": "error",
    "INT_TYPE_BIG_INT": "error",
    "FLOAT_TYPE_SMALL_FLOAT": "error",
    "FLOAT_TYPE_BIG_FLOAT": "error",
    "FLOAT_TYPE_HAS_NAN": "error",
    "FLOAT_TYPE_HAS_INF": "error",
    "TIMESTAMP_TYPE_SMALL_TIMESTAMP": "error",
    "TIMESTAMP_TYPE_BIG_TIMESTAMP": "error",
    "NO_DATA_IN_SPAN": "error",
    "DATASET_LOW_NUM_EXAMPLES": "error",
    "DATASET_HIGH_NUM_EXAMPLES": "error",
    "COMPARATOR_LOW_NUM_EXAMPLES": "error",
    "COMPARATOR_HIGH_NUM_EXAMPLES": "error",
    "COMPARATOR_L_INFTY_HIGH": "error",
    "COMPARATOR_JENSEN_SHANNON_DIVERGENCE_HIGH": "error",
    "COMPARATOR_NORMALIZED_ABSOLUTE_DIFFERENCE_HIGH": "error",
    "COMPARATOR_POPULATION_STABILITY_INDEX_HIGH": "error",
    "COMPARATOR_KOLMOGOROV_SMIRNOV_HIGH": "error",
    "COMPARATOR_WASSERSTEIN_HIGH": "error",
    "COMPARATOR_CHI_SQUARED_HIGH": "error",
    "COMPARATOR_MISSING_RATE_CHANGE_HIGH": "error",
    "COMPARATOR_CONTROL_DATA_MISSING": "error",
    "COMPARATOR_TREATMENT_DATA_MISSING": "error",
    "CUSTOM_VALIDATION": "error",
}
"""Every anomaly that is looked for, with its usual severity; a schema's `severity` overrides it.

A new column is a warning only: components read the columns they know. Seven of the names are not TFDV's,
because it does not look for it: bounds of timestamps, and the five measures it does not have."""

OWN = frozenset(
    {
        "TIMESTAMP_TYPE_SMALL_TIMESTAMP", "TIMESTAMP_TYPE_BIG_TIMESTAMP",
        "COMPARATOR_POPULATION_STABILITY_INDEX_HIGH", "COMPARATOR_KOLMOGOROV_SMIRNOV_HIGH",
        "COMPARATOR_WASSERSTEIN_HIGH", "COMPARATOR_CHI_SQUARED_HIGH", "COMPARATOR_MISSING_RATE_CHANGE_HIGH",
    }
)  # fmt: skip
"""Names that `anomalies.proto` does not have."""


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
    """A distance from other statistics, kept whether or not it is too large."""

    split: str
    column: str
    """Empty for the rows as a whole."""
    measure: str
    """A measure of `schema.Comparator`, or `examples_ratio`."""
    value: float
    threshold: float | None
    """As a distance, whatever it was given as."""
    against: Literal["baseline", "serving"] = "baseline"
    false_alarm: float | None = None
    """The rate that the threshold was worked out from, if it was."""


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
            "anomalies": [_plain(a, _ANOMALY_FIELDS) for a in self.anomalies],
            "measures": [_plain(m, _MEASURE_FIELDS) for m in self.measures],
        }

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Anomalies:
        """Inverse of `to_json`. KeyError or TypeError when `value` is something else."""
        return cls(
            anomalies=tuple(Anomaly(**a) for a in value["anomalies"]),
            measures=tuple(Measure(**m) for m in value["measures"]),
        )


_ANOMALY_FIELDS = tuple(f.name for f in dataclasses.fields(Anomaly))
_MEASURE_FIELDS = tuple(f.name for f in dataclasses.fields(Measure))


def _plain(value: Anomaly | Measure, fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(value, name) for name in fields}


SHOWN = 20


def report_text(
    result: Anomalies,
    *,
    good: str = "the examples fit the schema",
    bad: str = "the examples break the schema",
) -> str:
    """All anomalies in words, errors first; of many the first `SHOWN`."""
    if not result.anomalies:
        return good
    errors = result.errors
    warnings = [a for a in result.anomalies if a.severity == "warning"]
    counts = [
        f"{n} {word}{'' if n == 1 else 's'}"
        for n, word in ((len(errors), "error"), (len(warnings), "warning"))
    ]
    lines = [f"{bad}: {', '.join(counts)}"]
    listed = [*errors, *warnings]
    lines += [f"  {anomaly}" for anomaly in listed[:SHOWN]]
    if len(listed) > SHOWN:
        lines.append(f"  and {len(listed) - SHOWN} more")
    return "\n".join(lines)


def write_anomalies(folder: Path, anomalies: Anomalies) -> None:
    """Write the file; equal anomalies give equal bytes."""
    value = anomalies.to_json()
    parts = [f'{{\n "format": {json.dumps(value["format"])}']
    for name in ("anomalies", "measures"):  # an item on each line: to be read, and quick for many columns
        items = ",\n  ".join(json.dumps(item, ensure_ascii=False, allow_nan=False) for item in value[name])
        parts.append(f' "{name}": [\n  {items}\n ]' if items else f' "{name}": []')
    (folder / FILE).write_text(",\n".join(parts) + "\n}\n", encoding="utf-8")


def read_anomalies(folder: Path) -> Anomalies:
    """Read the file of an artifact. DataError when it is absent, broken or of another format."""
    path = folder / FILE
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
        if value["format"] not in READABLE:
            raise DataError(f"format is {value['format']!r}, expected {FORMAT!r}", where=str(path))
        return Anomalies.from_json(value)
    except FileNotFoundError:
        raise DataError("there are no anomalies here", where=str(path)) from None
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"not readable as anomalies: {error!r}", where=str(path)) from error
