"""What Examples must look like, as plain values: columns, types, presence, domains, thresholds.

The words follow TFX's `schema.proto` where a field has a counterpart. How a schema is written to a
file is known to `schema_file`, how it is guessed to `infer`, how data is held against it to `validate`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Severity = Literal["error", "warning"]
Number = int | float

SCHEMA_KINDS = ("int", "float", "string", "bool", "timestamp", "any")
"""Types a column may be declared as; `any` is not checked. `float` also accepts int."""

Stage = Literal["planned", "alpha", "beta", "production", "deprecated", "debug_only", "disabled"]
STAGES: tuple[str, ...] = get_args(Stage)
CHECKED_STAGES = ("beta", "production")
"""Columns of any other stage are known, and not looked at (as in TFDV)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FalseAlarm:
    """A threshold that is not a distance but a promise: how often it fires when nothing has changed.

    The distance it stands for is worked out from the numbers of rows on both sides and of bins
    (`false_alarm`), so that the same schema serves a hundred rows and a hundred million.
    """

    rate: float
    """Above 0 and below 1; per column and measure."""


Threshold = float | FalseAlarm


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparator:
    """How far a column may be from other statistics of it. What a measure is stands in `distance`.

    A bound of 0 allows no difference at all; None measures and judges nothing.
    """

    linf: Threshold | None = None
    """L-infinity distance: largest difference of the share of one value, 0 to 1."""
    jsd: Threshold | None = None
    """Jensen-Shannon divergence to base 2, 0 to 1."""
    psi: Threshold | None = None
    """Population stability index, from 0; 0.1 is called small and 0.25 large."""
    ks: Threshold | None = None
    """Kolmogorov-Smirnov distance: largest difference of the distribution functions, 0 to 1."""
    wasserstein: Threshold | None = None
    """Mean distance that values moved, in interquartile ranges of the other side, from 0."""
    chi2: Threshold | None = None
    """Root of chi-squared over the rows of both sides (Cramer's V of the 2 x k table), 0 to 1."""
    nad: Threshold | None = None
    """Largest difference of how often one value occurs, over the values of both sides, 0 to 1. Counts, not
    shares: a day with twice the rows differs."""
    missing: Threshold | None = None
    """Difference of the shares of rows without a value, 0 to 1."""


MEASURES = ("linf", "jsd", "psi", "ks", "wasserstein", "chi2", "nad", "missing")
_ALWAYS = ("missing",)
_LISTED = ("linf", "jsd", "psi", "chi2", "nad", "missing")
_NUMBERS = ("jsd", "psi", "ks", "wasserstein", "chi2", "missing")


@dataclass(frozen=True, slots=True, kw_only=True)
class BoolDomain:
    """Truth values written as something else. For int and float columns: 0 and 1."""

    true_value: str | None = None
    false_value: str | None = None
    """The texts of a string column; one that is not given must not occur."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ColumnSchema:
    """One column."""

    type: str
    """Of the values; in a column of lists, of their elements."""
    required: bool = True
    """Whether the column must exist."""
    stage: Stage = "production"
    """Columns that are not `beta` or `production` are not looked at."""
    in_environment: tuple[str, ...] = ()
    not_in_environment: tuple[str, ...] = ()
    """Where the column is expected, beside the schema's default environments, and where it is not."""
    min_fraction: float = 0.0
    """Least share of rows with a value."""
    min_count: int = 0
    """Least number of rows with a value."""
    nesting: int = 0
    """0 for one value in a row, 1 for a list, 2 for a list of lists."""
    min_values: int | None = None
    max_values: int | None = None
    """Fewest and most elements of a list, in rows that have one."""
    shape: tuple[int, ...] | None = None
    """Fixed lengths of a column of lists, outermost first; no row may be without."""
    min: Number | str | None = None
    max: Number | str | None = None
    """Least and largest finite number allowed; for timestamp columns moments, ISO 8601, UTC."""
    allow_nan: bool = False
    allow_infinite: bool = False
    domain: tuple[str, ...] | None = None
    """The texts allowed. For string columns."""
    min_domain_mass: float = 1.0
    """Least share of values that must be in the domain."""
    bool_domain: BoolDomain | None = None
    text_of: Literal["int", "float"] | None = None
    """What every text must be readable as. For string columns."""
    min_unique: int | None = None
    max_unique: int | None = None
    """Fewest and most distinct values. Not for float and timestamp columns."""
    drift: Comparator | None = None
    """Against the baseline: the same data of an earlier time."""
    skew: Comparator | None = None
    """Against the serving data."""
    severity: Mapping[str, Severity] = field(default_factory=dict)
    """Anomaly name -> severity, for this column."""

    @property
    def measures(self) -> tuple[str, ...]:
        """The measures that a comparator of this column may bound."""
        if self.type in ("int", "float"):
            return _NUMBERS
        return _LISTED if self.type in ("string", "bool") else _ALWAYS

    def is_in(self, environment: str, default_environments: tuple[str, ...]) -> bool:
        """Whether the column is expected in that environment (`schema.proto`, in_environment)."""
        if environment in self.not_in_environment:
            return False
        return environment in self.in_environment or environment in default_environments


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
class Rule:
    """Something else that must hold, said over the statistics; see `rules` for what can be said."""

    expect: str
    column: str | None = None
    """The column whose fields stand in `expect`; None for a rule over the rows as a whole."""
    description: str = ""
    severity: Severity = "error"
    environments: tuple[str, ...] = ()
    """Where the rule holds; everywhere when none is named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schema:
    """Columns by name, the rows as a whole, and severities that differ from the usual ones."""

    columns: Mapping[str, ColumnSchema]
    version: int = 1
    """Raised by one each time that changes are accepted."""
    default_environments: tuple[str, ...] = ()
    """Environments that every column is in, unless it says otherwise."""
    dataset: DatasetSchema = field(default_factory=DatasetSchema)
    severity: Mapping[str, Severity] = field(default_factory=dict)
    """Anomaly name -> severity, for all columns."""
    rules: Mapping[str, Rule] = field(default_factory=dict)

    @property
    def environments(self) -> tuple[str, ...]:
        """Every environment that is named anywhere, sorted."""
        named = set(self.default_environments)
        for column in self.columns.values():
            named.update(column.in_environment, column.not_in_environment)
        for rule in self.rules.values():
            named.update(rule.environments)
        return tuple(sorted(named))
