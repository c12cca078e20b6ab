"""What one validation collects: anomalies with their severities, and measures."""

from __future__ import annotations

from collections.abc import Mapping

from tidemill.data.anomalies import ANOMALIES, Anomaly, Measure
from tidemill.data.schema import ColumnSchema, Schema, Severity


class Check:
    """The state of one validation: where it is, and what it has found."""

    def __init__(self, schema: Schema, environment: str | None = None) -> None:
        self.schema = schema
        self.environment = environment
        self.split = ""
        self.anomalies: list[Anomaly] = []
        self.measures: list[Measure] = []

    def found(self, name: str, column: str, short: str, long: str, severity: Severity | None = None) -> None:
        """Note an anomaly of a column, or of the rows; its severity is the schema's unless given."""
        if severity is None:
            expected = self.schema.columns.get(column)
            own: Mapping[str, Severity] = {} if expected is None else expected.severity
            severity = own.get(name) or self.schema.severity.get(name, ANOMALIES[name])
        self.anomalies.append(
            Anomaly(name=name, severity=severity, split=self.split, column=column, short=short, long=long)
        )

    def expects(self, column: ColumnSchema) -> bool:
        """Whether the column should be there in the environment of this validation."""
        if self.environment is None:
            return True
        return column.is_in(self.environment, self.schema.default_environments)


def share_text(value: float) -> str:
    """A share in percent."""
    return f"{value * 100:.4g} %"


def quoted(value: str) -> str:
    """A text of the data, cut to what fits into a message."""
    return repr(value if len(value) <= 40 else value[:37] + "...")
