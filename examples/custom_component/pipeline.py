"""Count words, and when they are not all the same, find the longest.

tidemill run examples/custom_component/pipeline.py
"""

from __future__ import annotations

import json

from word_counts import CountWords, WordCounts

from tidemill import Input, When, component, files, pipeline


@component
def longest(counts: Input[WordCounts]) -> str:
    found: dict[str, int] = json.loads((counts.path / "counts.json").read_text(encoding="utf-8"))
    return max(sorted(found), key=len)


@pipeline
def word_counts(texts: str = "examples/**/README.md") -> None:
    """Paths start where the run was started."""
    counted = CountWords(source=files(texts), leave_out=["the", "a", "and"])
    with When(counted.outputs.counts.distinct != 1):
        longest(counts=counted.outputs.counts)
