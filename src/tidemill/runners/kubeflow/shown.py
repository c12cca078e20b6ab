"""What KFP's own pages show of a node: its numbers, and the page of what it made.

KFP has viewers of its own for two of its types: the numbers in the metadata of a `system.Metrics` are listed
and compared between runs, and the file of a `system.HTML` is shown in a frame. Whatever goes wrong here is
not worth a failed task, so there is nothing to show then.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DataError
from tidemill.metadata.model import Artifact
from tidemill.runtime.showing import read_json

_FILES: Mapping[str, str] = {
    "ExampleStatistics": "statistics.json", "ExampleAnomalies": "anomalies.json",
    "ModelEvaluation": "evaluation.json", "ModelBlessing": "blessing.json",
}  # fmt: skip
"""Artifacts that a page is drawn from, and the file that holds the content."""
_MOST_METRICS = 200
"""Numbers that are handed to KFP: each becomes a row of its database."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """Artifacts of an execution by the name of the input or output."""

    inputs: Mapping[str, list[Artifact]] = field(default_factory=dict)
    outputs: Mapping[str, list[Artifact]] = field(default_factory=dict)

    def content(self, kind: str, *, given: str = "") -> Any:
        """The content of the first artifact of a type that was put out; with `given`, of that input."""
        among = self.inputs.get(given, []) if given else [a for found in self.outputs.values() for a in found]
        found = next((a for a in among if a.type == kind), None)
        return None if found is None else read_json(found, _FILES[kind])


def metrics(made: Made) -> dict[str, float]:
    """The numbers of what was put out: metrics of an evaluation, numbers that were returned, verdicts."""
    found: dict[str, float] = {}
    for name, value in _numbers(made):
        if isinstance(value, bool | int | float) and math.isfinite(value) and len(found) < _MOST_METRICS:
            found.setdefault(name, float(value))
    return found


def _numbers(made: Made) -> Iterator[tuple[str, Any]]:
    evaluation = made.content("ModelEvaluation")
    if isinstance(evaluation, dict) and isinstance(evaluation.get("model"), dict):
        yield from evaluation["model"].items()
    for output, artifacts in made.outputs.items():
        for artifact in artifacts:
            if artifact.type in ("Integer", "Float", "Boolean"):
                yield output, artifact.custom_properties.get("value")
            for name in ("blessed", "num_anomalies", "num_rows"):
                yield name, artifact.custom_properties.get(name)


def page(made: Made, title: str) -> str:
    """The HTML page of what was put out; empty when there is none."""
    try:
        return _drawn(made, title)
    except DataError:
        return ""


def _drawn(made: Made, title: str) -> str:
    from tidemill.pages.evaluation import evaluation_page
    from tidemill.pages.statistics import statistics_page

    evaluation = made.content("ModelEvaluation")
    if evaluation is not None:
        return evaluation_page(evaluation, blessing=made.content("ModelBlessing"), title=title)
    anomalies = made.content("ExampleAnomalies")
    statistics = made.content("ExampleStatistics")
    against = None
    if anomalies is not None and statistics is None:
        statistics = made.content("ExampleStatistics", given="statistics")
        against = made.content("ExampleStatistics", given="baseline_statistics")
    if statistics is None:
        return ""
    return statistics_page(statistics, against=against, anomalies=anomalies, title=title)
