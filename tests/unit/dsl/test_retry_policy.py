"""Retry policies and limits: what they compile to, and what is wrong with bad ones."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tidemill import NodeOptions, Resources, Retry, Rule, component
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.options import problems_of
from tidemill.dsl.pipeline import Pipeline
from tidemill.ir import model


@component
def read() -> int:
    """A number."""
    return 1


def test_a_retry_policy_is_compiled() -> None:
    policy = Retry(
        user=1, backoff=timedelta(seconds=3), cap=9, no_retry_on=[KeyError, "a.B"],
        rules=[Rule("HTTPError", match="503", backoff=0.0), Rule("x.Y", treat="permanent")],
    )  # fmt: skip
    options = NodeOptions(
        retry=policy, queue_timeout=1, start_timeout=timedelta(minutes=1), total_timeout=3.5, heartbeat=4,
        resources=Resources(memory="1Ki", memory_max="2Ki"), log_limit="1Mi",
    )  # fmt: skip
    assert problems_of(options) == []
    found = compile_pipeline(Pipeline("p", nodes=[read()], options=options)).nodes[0].options
    assert found.retry == model.RetryIR(
        user=1, transient=3, timeout=0, memory=2, infrastructure=3, backoff=3.0, factor=2.0, cap=9.0,
        rules=(model.RuleIR(exception="HTTPError", match="503", backoff=0.0),
               model.RuleIR(exception="x.Y", treat="permanent")),
        no_retry_on=("KeyError", "a.B"),
    )  # fmt: skip
    assert (found.queue_timeout, found.start_timeout, found.total_timeout) == (1.0, 60.0, 3.5)
    assert (found.heartbeat, found.log_limit, found.resources.memory_max) == (4.0, 2**20, 2048)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"retry": 3}, "retry is 3; write Retry("),
        ({"retry": Retry(), "retries": 2}, "retries and retry are both given"),
        ({"retry": Retry(user=-1)}, "retry.user is -1; it cannot be negative"),
        ({"retry": Retry(user=1.5)}, "retry.user is 1.5; it must be a whole number"),
        ({"retry": Retry(cap="x")}, "retry.cap is 'x'; it must be a number"),
        ({"retry": Retry(rules="x")}, "retry.rules is 'x'"),
        ({"retry": Retry(rules=[Rule("a b")])}, "retry rule 'a b': name the exception"),
        ({"retry": Retry(rules=[Rule("A", treat="maybe")])}, "treat is 'maybe'"),
        ({"retry": Retry(rules=[Rule("A", match="(")])}, "match '(' is no regular expression"),
        ({"retry": Retry(rules=[Rule("A", match=3)])}, "match is 3"),
        ({"retry": Retry(rules=[Rule("A", match="x" * 201)])}, "match has 201 characters; 200 are the most"),
        ({"retry": Retry(rules=[Rule("A", backoff=-1)])}, "retry rule 'A': backoff is -1; it cannot be"),
        ({"retry": Retry(no_retry_on=[int])}, "is no exception"),
        ({"retry": Retry(no_retry_on="A")}, "retry.no_retry_on is 'A'"),
        ({"heartbeat": -1}, "heartbeat is -1; it cannot be negative"),
        ({"queue_timeout": "x"}, "queue_timeout is 'x'"),
        ({"log_limit": "1 page"}, "log_limit: '1 page' is not an amount"),
        ({"resources": Resources(memory="2Gi", memory_max="1Gi")}, "it must be more than memory"),
    ],
)
def test_mistakes_in_a_policy(options: dict[str, Any], problem: str) -> None:
    assert [what for what in problems_of(NodeOptions(**options)) if problem in what]
