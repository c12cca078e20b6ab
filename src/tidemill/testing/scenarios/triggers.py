"""Trigger rules: what must have become of the nodes before one."""

from __future__ import annotations

from tidemill import When, pipeline
from tidemill.testing.scenarios.parts import give, note, refuse


@pipeline
def triggers() -> None:
    """Each rule after a node that succeeds, one that fails, one that is skipped and one that is blocked."""
    good = give(value=1).with_id("good")
    bad = refuse(value=1, bad=1).with_id("bad")
    with When(good.outputs.result > 1):
        skipped = give(value=2).with_id("skipped")
    blocked = give(value=3).with_id("blocked")
    bad >> blocked
    before = {"good": [good], "bad": [bad], "skipped": [skipped], "blocked": [blocked],
              "good_and_bad": [good, bad], "bad_and_skipped": [bad, skipped]}  # fmt: skip
    for name, nodes in before.items():
        for rule in ("all_done", "one_success"):
            nodes >> note(what=f"{rule} {name}").with_options(trigger=rule).with_id(f"{rule}_{name}")
