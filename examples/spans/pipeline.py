"""Each day's readings, and the mean of the last three days.

python examples/spans/write_days.py .tidemill/spans/data
tidemill backfill examples/spans/pipeline.py --from 2026-03-02 --to 2026-03-07
"""

from __future__ import annotations

from tidemill import (
    Examples,
    Input,
    Schedule,
    component,
    files,
    pipeline,
    rolling_window,
    run,
)
from tidemill.components import ExampleGen, StatisticsGen


@component
def window_means(examples: Input[list[Examples]]) -> dict[str, float]:
    """Mean degrees per sensor over all spans of the window."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    files = [path for one in examples for path in sorted(one.path.glob("Split-*/*.parquet"))]
    rows = pa.concat_tables([pq.read_table(path) for path in files])
    means = rows.group_by("sensor").aggregate([("degrees", "mean")]).sort_by("sensor").to_pylist()
    print(f"spans {[one.span for one in examples]}, {rows.num_rows} rows")
    return {row["sensor"]: row["degrees_mean"] for row in means}


@pipeline(schedule=Schedule("@daily"))
def readings(data: str = ".tidemill/spans/data") -> None:
    """A run of a date reads the file of that date; its Examples have the day as their span."""
    example_gen = ExampleGen(source=files(f"{data}/readings-{{YYYY}}-{{MM}}-{{DD}}.csv", date=run.date))
    StatisticsGen(examples=example_gen.outputs.examples)
    window_means(examples=rolling_window(example_gen.outputs.examples, spans=3))
