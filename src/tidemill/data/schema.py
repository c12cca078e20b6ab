"""What Examples must look like, as plain values: columns, types, presence, domains, thresholds.

The words follow TFX's `schema.proto` where a field has a counterpart. How a schema is written to a
file is known to `schema_file`, how it is guessed to `infer`, how data is held against it to `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Severity = Literal["error", "warning"]

SCHEMA_KINDS = ("int", "float", "string", "bool", "timestamp", "any")
"""Types a column may be declared as; `any` is not checked. `float` also accepts int."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drift:
    """How far a column may move from the baseline statistics, each between 0 and 1."""

    linf: float | None = None
    """L-infinity distance: largest change of the share of one value. For string and bool columns."""
    jsd: float | None = None
    """Jensen-Shannon divergence, base 2. For int, float, string and bool columns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """One column."""

    type: str
    required: bool = True
    """Whether the column must exist."""
    min_fraction: float = 0.0
    """Least share of rows with a value."""
    min: int | float | None = None
    max: int | float | None = None
    """Least and largest finite number allowed. For int and float columns."""
    allow_nan: bool = False
    allow_infinite: bool = False
    domain: tuple[str, ...] | None = None
    """The texts allowed. For string columns."""
    min_domain_mass: float = 1.0
    """Least share of values that must be in the domain."""
    drift: Drift | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class DatasetSchema:
    """The rows as a whole. Numbers of rows are those of all validated splits together."""

    min_examples: int = 1
    """Less rows are an anomaly; so is any split without rows, unless this is 0."""
    max_examples: int | None = None
    min_examples_ratio: float | None = None
    max_examples_ratio: float | None = None
    """Bounds of rows divided by rows of the baseline statistics."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Columns by name, the rows as a whole, and severities that differ from the usual ones."""

    columns: Mapping[str, ColumnSchema]
    dataset: DatasetSchema = field(default_factory=DatasetSchema)
    severity: Mapping[str, Severity] = field(default_factory=dict)
    """Anomaly name -> severity, for all columns."""
