"""Values known only at run time: alone, in text, in lists and dicts."""

from __future__ import annotations

from typing import Any

from tidemill import Examples, Output, component, env, pipeline, run


@component
def read(examples: Output[Examples]) -> int:
    """Rows, and how many."""
    return 0


@component
def publish(
    text: str, *, parts: list[str], settings: dict[str, Any], span: int | None, anything: Any = None
) -> None:
    """Tell people."""


@pipeline
def placeholders(channel: str = "news") -> None:
    rows = read()
    examples = rows.outputs.examples
    publish(
        f"{run.pipeline} {run.version}: {rows.outputs.result} rows of {run.date} ({channel})\n",
        parts=["first", run.id, f"{run.date}", str(examples.uri)],
        settings={
            "root": run.root,
            "deep": [{"span": examples.span, "rows": examples.num_rows}, None, 1.5],
            "user": env("USER"),
            "stage": f"stage-{env('STAGE', 'dev')}",
        },
        span=examples.span,
        anything=[[], {}, [run.date]],
    )
