"""Inputs from earlier runs, found in the record."""

from __future__ import annotations

from tidemill import Input, String, choose, component, latest, latest_many, pipeline, run, spans
from tidemill.testing.scenarios.parts import note, read_day, table, train


@component
def newest(found: Input[String] | None = None) -> str:
    """What was found."""
    return "nothing" if found is None else str(found.value)


def odd_ones(found: list[String]) -> list[String]:
    """Every other one of those that were found."""
    return found[1::2]


@pipeline
def resolvers(span: int) -> None:
    """Each looks at what the runs before this one made."""
    fact = note(what=run.date, facts=span).with_id("fact")
    examples = read_day(day=run.date, span=span).outputs.examples
    newest(latest(fact.outputs.result)).with_id("newest")
    table(latest_many(fact.outputs.result, 2), title="two").with_id("newest_two")
    table(choose(fact.outputs.result, odd_ones), title="chosen").with_id("chosen")
    train(spans(examples, 2, 3)).with_id("of_spans")
