"""Values of the record over the wire: exactly what they were, whoever is older, and nothing else."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, get_type_hints

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.metadata import model
from tidemill.metadata.finding import Finding
from tidemill.metadata.model import Artifact, PropertyValue, Publication, Run, RunState
from tidemill.metadata.remote.codec import Malformed, form
from tidemill.metadata.retention import Retention, RetentionPolicy

TEXT = st.text()  # with every character there is, lone surrogates and NUL too
VALUES = st.one_of(st.booleans(), st.integers(), st.floats(), TEXT)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), TEXT),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.one_of(TEXT, st.sampled_from(["$float", "$plain", "$x"])), inner, max_size=3),
    ),
    max_leaves=8,
)
RECORDS = [
    kind for kind in vars(model).values() if isinstance(kind, type) and dataclasses.is_dataclass(kind)
] + [Finding, Retention, RetentionPolicy]


def there_and_back(annotation: Any, value: Any, *, strict: bool = True) -> Any:
    text = json.dumps(form(annotation).pack(value), allow_nan=False)
    return form(annotation).unpack(json.loads(text.encode("ascii")), strict)


def same(left: Any, right: Any) -> bool:
    """Equal, and of the same types all the way down; NaN is NaN, and -0.0 is not 0.0."""
    if type(left) is not type(right):
        return False
    if isinstance(left, float):
        if math.isnan(left) or math.isnan(right):
            return math.isnan(left) and math.isnan(right)
        return left == right and math.copysign(1, left) == math.copysign(1, right)
    if isinstance(left, Mapping):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    if isinstance(left, Sequence) and not isinstance(left, str):
        return len(left) == len(right) and all(map(same, left, right))
    if dataclasses.is_dataclass(left):
        return all(same(getattr(left, f.name), getattr(right, f.name)) for f in dataclasses.fields(left))
    return bool(left == right)


@given(VALUES)
def test_a_property_comes_back_as_it_was(value: Any) -> None:
    assert same(there_and_back(PropertyValue, value), value)


@pytest.mark.parametrize(
    "value",
    [
        1,
        1.0,
        True,
        0,
        0.0,
        -0.0,
        False,
        "1",
        2**63,
        -(2**64),
        1e300,
        5e-324,
        math.inf,
        -math.inf,
        math.nan,
        "",
        "\0",
        "\ud800",
        "🜁",
        2**53 + 1,
    ],
)
def test_values_that_are_easily_mistaken(value: Any) -> None:
    assert same(there_and_back(PropertyValue, value), value)


@given(JSON)
def test_any_json_comes_back_as_it_was(value: Any) -> None:
    assert same(there_and_back(Any, value), value)


def test_json_is_what_the_json_of_python_makes_of_it() -> None:
    assert there_and_back(Any, {"a": (1, [2, {3: None}])}) == {"a": [1, [2, {"3": None}]]}
    cycle: list[Any] = []
    cycle.append(cycle)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    for bad in ({1, 2}, b"x", object(), cycle, deep):
        with pytest.raises(Malformed, match="JSON"):
            form(Any).pack(bad)


@pytest.mark.parametrize("kind", RECORDS, ids=lambda kind: kind.__name__)
def test_records_come_back_as_they_were(kind: type) -> None:
    """Every record of the model, with fields of any value that its types allow."""
    strategies = {
        model.Properties: st.dictionaries(TEXT, VALUES, max_size=3),
        Mapping[str, Any]: st.dictionaries(TEXT, JSON, max_size=3),
        model.PathStep: st.one_of(st.integers(), TEXT),
        Mapping[str, model.PropertyType]: st.dictionaries(TEXT, st.sampled_from(model.PropertyType)),
        str: TEXT,
    }

    hints = get_type_hints(kind)
    fields = {}
    for each in dataclasses.fields(kind):
        hint = hints[each.name]
        if hint in strategies:
            fields[each.name] = strategies[hint]
        elif hint == tuple[model.PathStep, ...]:
            fields[each.name] = st.lists(strategies[model.PathStep], max_size=3).map(tuple)
        elif hint == Mapping[str, Sequence[Artifact]]:
            artifact = st.builds(
                Artifact, type=TEXT, uri=TEXT, custom_properties=strategies[model.Properties]
            )
            fields[each.name] = st.dictionaries(TEXT, st.lists(artifact, max_size=2), max_size=2)
        elif hint == Mapping[str, Sequence[int]]:
            fields[each.name] = st.dictionaries(TEXT, st.lists(st.integers(), max_size=3), max_size=2)
        elif hint in (tuple[Run, ...], tuple[Artifact, ...]):
            fields[each.name] = st.just(())
        else:
            fields[each.name] = st.from_type(hint)

    @given(st.builds(kind, **fields))
    def check(value: Any) -> None:
        assert same(there_and_back(kind, value), value)

    check()


def test_answers_of_methods() -> None:
    """Containers, tuples of a fixed length, keys that are numbers."""
    artifact = Artifact(type="Model", uri="u", id=7)
    outputs = {12: {"x": [artifact, artifact]}, -3: {}}
    assert same(there_and_back(dict[int, dict[str, list[Artifact]]], outputs), outputs)
    assert same(there_and_back(tuple[str, int] | None, ("k", 5)), ("k", 5))
    assert there_and_back(tuple[str, int] | None, None) is None
    assert same(there_and_back(float | None, 3), 3.0)
    assert same(there_and_back(RunState | None, RunState.FAILED), RunState.FAILED)
    assert there_and_back(Literal["up", "down"], "up") == "up"
    assert same(there_and_back(frozenset[int], {2}), frozenset({2}))


# --- of different versions -----------------------------------------------------------------------


@dataclass(frozen=True)
class Before:
    """A record of an older version."""

    id: int
    name: str = ""


@dataclass(frozen=True)
class After:
    """The same one a version later."""

    id: int
    name: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    more: int = 0


def test_an_older_reader_leaves_out_what_it_does_not_know() -> None:
    new = form(After).pack(After(1, "x", {"a": "b"}, 5))
    assert form(Before).unpack(new, False) == Before(1, "x")
    assert form(After).unpack(form(Before).pack(Before(1, "x")), False) == After(1, "x")


def test_an_older_server_refuses_only_what_it_would_have_to_leave_out() -> None:
    """A newer client that asks nothing new sends nothing new."""
    assert form(Before).unpack(form(After).pack(After(1)), True) == Before(1)
    with pytest.raises(Malformed, match="labels is not known here"):
        form(Before).unpack(form(After).pack(After(1, labels={"a": "b"})), True)


def test_a_default_is_left_out_only_when_it_is_the_default() -> None:
    """True is not 1, and 0.0 is not 0."""

    @dataclass(frozen=True)
    class Loose:
        value: int | float | bool = 1

    Loose.__annotations__["value"] = int | float | bool
    for value in (1, 1.0, True):
        assert same(there_and_back(Loose, Loose(value)), Loose(value))
    assert form(Loose).pack(Loose(1)) == {}


# --- what is not of the type it should be --------------------------------------------------------


@pytest.mark.parametrize(
    ("annotation", "plain", "said"),
    [
        (int, True, "is a truth value, not an integer"),
        (int, 1.0, "is a number, not an integer"),
        (int, "1", "is text"),
        (str, None, "is null, not text"),
        (bool, 1, "is an integer, not a truth value"),
        (float, {"$float": "1"}, "not a number"),
        (PropertyValue, [1], "is a list, not one of"),
        (PropertyValue, {"$float": "inf", "x": 1}, "is an object"),
        (list[int], {"0": 1}, "is an object, not a list"),
        (list[int], [1, "x"], "1 is text"),
        (dict[int, int], {"x": 1}, "x is a key that is not an integer"),
        (tuple[str, int], ["x"], "not a list of 2"),
        (RunState, "DONE", "is no RunState: 'DONE'"),
        (model.EventType, 3, "is no EventType"),
        (Literal["up"], "down", "is none of 'up'"),
        (Run, [], "is a list, not an object"),
        (Run, {}, "id is missing"),
        (Artifact, {"type": "Model", "uri": "u", "uir": "x"}, "uir is not known here; did you mean 'uri'?"),
        (
            Publication,
            {"state": "COMPLETE", "outputs": {"x": [{"type": 1, "uri": ""}]}},
            "outputs.x.0.type is an integer, not text",
        ),
    ],
)
def test_what_is_malformed_is_said_with_its_place(annotation: Any, plain: Any, said: str) -> None:
    with pytest.raises(Malformed) as caught:
        form(annotation).unpack(plain, True)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("annotation", "value", "said"),
    [
        (PropertyValue, [1], "is a list"),
        (PropertyValue, None, "is null"),
        (int, "x", "is text"),
        (list[str], "abc", "not a list"),
        (Mapping[str, int], {1: 1}, "has the key 1, which is not text"),
        (Artifact, "x", "not Artifact"),
        (RunState, "FAILED", "not RunState"),
    ],
)
def test_what_cannot_be_sent_is_said_with_its_place(annotation: Any, value: Any, said: str) -> None:
    with pytest.raises(Malformed) as caught:
        form(annotation).pack(value)
    assert said in str(caught.value)


def test_types_that_do_not_travel() -> None:
    for annotation in (bytes, object, dict[float, int], list[complex]):
        with pytest.raises(TypeError, match="does not travel"):
            form(annotation)
