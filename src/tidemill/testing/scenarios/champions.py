"""Windows of spans, and the model to beat."""

from __future__ import annotations

from tidemill import latest_blessed, pipeline, rolling_window, run
from tidemill.testing.scenarios.parts import check_day, judge, read_day, train


@pipeline
def champions(span: int, bless: bool = True, bad: int = -1) -> None:
    """Data that failed its check never enters a window; a model that was not blessed is no champion."""
    examples = read_day(day=run.date, span=span).outputs.examples
    checked = check_day(examples, bad=bad)
    model = train(rolling_window(examples, spans=3, passed=checked)).outputs.model
    judge(model, latest_blessed(model), bless=bless)
