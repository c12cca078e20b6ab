"""Runtime parameters by their annotations: type in the IR, what values fit, and what is said of others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal

import pytest

from tidemill import Allowed, RunnerError, component, pipeline
from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.parameter_hints import of_hint
from tidemill.errors import DefinitionError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.runtime.plan import bind_parameters
from tidemill.types.parameter import Text


@pytest.mark.parametrize(
    ("hint", "kind", "schema"),
    [
        (int, "int", {}),
        (Annotated[float, Allowed(more_than=0, maximum=1)], "float", {"exclusiveMinimum": 0, "maximum": 1}),
        (Annotated[str, Allowed(date=True, title="day")], "str", {"format": "date", "title": "day"}),
        (Annotated[int, "of no concern"], "int", {}),
        (Literal["a", "b"], "str", {"enum": ["a", "b"]}),
        (Literal[1, 2], "int", {"enum": [1, 2]}),
        (Literal["a", 1], "json", {"type": ["string", "integer"], "enum": ["a", 1]}),
        (Literal["a"] | None, "json", {"type": ["string", "null"], "enum": ["a", None]}),
        (Literal["a"] | int, "json", {}),
        (Literal[b"a"], "json", {}),
        (int | None, "json", {"type": ["integer", "null"]}),
        (Annotated[int, Allowed(minimum=1)] | None, "json", {"type": ["integer", "null"], "minimum": 1}),
        (list[int], "json", {"type": "array", "items": {"type": "integer"}}),
        (Sequence[str], "json", {"type": "array", "items": {"type": "string"}}),
        (tuple[int, ...], "json", {"type": "array", "items": {"type": "integer"}}),
        (tuple[int, str], "json", {"type": "array"}),
        (Annotated[list[Any], Allowed(min_items=1)], "json", {"type": "array", "minItems": 1}),
        (dict[str, float], "json", {"type": "object", "additionalProperties": {"type": "number"}}),
        (Mapping[str, Any], "json", {"type": "object"}),
        (Any, "json", {}),
        (Any | None, "json", {}),
    ],
)
def test_what_annotations_say(hint: Any, kind: str, schema: dict[str, Any]) -> None:
    assert of_hint(hint) == (kind, schema)


def test_a_list_whose_default_is_none_may_be_none() -> None:
    assert of_hint(list[int], optional=True)[1]["type"] == ["array", "null"]


@component
def use(*, what: Any = None) -> None:
    """Use it."""


@component
def choose(*, mode: Literal["fast", "exact"]) -> None:
    """Use it."""


@pipeline
def kinds(
    mode: Literal["fast", "exact"] = "fast",
    rate: Annotated[float, Allowed(minimum=0, less_than=1)] = 0.5,
    name: Annotated[str, Allowed(min_length=2, max_length=4, pattern="^[a-z]+$")] = "abc",
    day: Annotated[str, Allowed(date=True)] = "2024-02-29",
    days: Annotated[list[int], Allowed(max_items=2)] = [1],  # noqa: B006
    rates: dict[str, float] = {},  # noqa: B006
    maybe: str | None = "null",
    number: int | None = None,
    anything: Any = "[1",
) -> None:
    """One of each kind."""
    choose(mode=mode)
    use(what=[rate, name, day, days, rates, maybe, number, anything])


@pytest.fixture(scope="module")
def ir() -> PipelineIR:
    return codec.loads(codec.dumps(compile_pipeline(kinds)))


def test_defaults_are_values_and_never_text_to_be_read(ir: PipelineIR) -> None:
    defaults = {p.name: p.default for p in ir.parameters}
    assert bind_parameters(ir, {}) == bind_parameters(ir, defaults) == defaults


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("mode", "exact", "exact"),
        ("rate", "0.25", 0.25),
        ("days", "[3]", [3]),
        ("maybe", "plain words", "plain words"),
        ("maybe", "null", None),
        ("maybe", "5", "5"),
        ("number", "5", 5),
        ("number", "null", None),
        ("anything", "[1]", [1]),
    ],
)
def test_text_of_a_command_line_is_read(ir: PipelineIR, name: str, text: str, value: Any) -> None:
    assert bind_parameters(ir, {name: Text(text)})[name] == value


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("mode", "slow", "expected one of 'fast', 'exact', got 'slow'"),
        ("rate", -1, "expected at least 0, got -1"),
        ("rate", 1, "expected less than 1, got 1"),
        ("rate", "x", "is not a valid float"),
        ("name", "a", "expected text of at least 2 characters, got 'a'"),
        ("name", "abcde", "expected text of at most 4 characters"),
        ("name", "ABC", r"expected text like \^\[a-z\]\+\$"),
        ("day", "2023-02-29", "expected a date, YYYY-MM-DD, got '2023-02-29'"),
        ("day", "20240229", "expected a date"),
        ("days", [1, "2"], r"at \[1\]: expected integer, got '2'"),
        ("days", [True], r"at \[0\]: expected integer, got True"),
        ("days", [1, 2, 3], "expected a list of at most 2"),
        ("days", "1", "expected array, got '1'"),
        ("days", None, "expected array, got None"),
        ("rates", {"a": "b"}, r"at \['a'\]: expected number, got 'b'"),
        ("maybe", 5, "expected string or null, got 5"),
        ("anything", Text("[1"), "is not a valid json"),
    ],
)
def test_values_that_do_not_fit(ir: PipelineIR, name: str, value: Any, why: str) -> None:
    with pytest.raises(RunnerError, match=why):
        bind_parameters(ir, {name: value})


def test_a_default_must_fit_and_a_pattern_must_be_one() -> None:
    @pipeline
    def wrong(rate: Annotated[float, Allowed(maximum=1)] = 2) -> None:
        use(what=rate)

    with pytest.raises(DefinitionError, match="its default is wrong: expected at most 1, got 2"):
        compile_pipeline(wrong)
    with pytest.raises(ValueError, match="no regular expression"):
        Allowed(pattern="(")
