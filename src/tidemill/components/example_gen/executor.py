"""ExampleGen's work: tie the parameters to `data.ingest` and describe what came out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tidemill.data.ingest import ingest, open_source
from tidemill.types.source import FileSet
from tidemill.types.standard import Examples

DEFAULT_SPLITS = {"train": 2, "eval": 1}


def run(
    *,
    source: FileSet,
    examples: Examples,
    format: str = "auto",
    splits: Mapping[str, int] | None = None,
    partition_by: str | None = None,
    order_by: str | None = None,
    cut_points: Sequence[str | float] = (),
    column_types: Mapping[str, str] | None = None,
    null_values: Sequence[str] = ("",),
) -> None:
    """Write `source` to `examples`; see the component for the parameters."""
    rows = ingest(
        open_source(source, format, column_types or {}, null_values),
        examples.path,
        DEFAULT_SPLITS if splits is None else splits,
        partition_by=partition_by,
        order_by=order_by,
        cut_points=cut_points,
    )
    examples.splits = list(rows)
    examples.num_rows = sum(rows.values())
    if source.span is not None:
        examples.span = source.span
    if source.version is not None:
        examples.version = source.version
    counts = ", ".join(f"{split} {count}" for split, count in rows.items())
    print(f"{examples.num_rows} rows from {len(source.files)} files: {counts}")
