"""Whatever is done to a document, the linter answers with findings or one clear error."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import yaml
from good_kfp import documents
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import DefinitionError
from tidemill.runners.kubeflow.lint import cel, lint, lint_text
from tidemill.runners.kubeflow.lint.quantity import quantity

_SCALARS = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
    | st.sampled_from(["{{$}}", "{{$.inputs.parameters['x']}}", "body", "comp-body", "2.1.0", 10**400])
)  # fmt: skip
_VALUES = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
)


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, child in inner for place in _places(child, (*path, key)))]


_TEXT = yaml.safe_dump_all(documents())
_PLACES = [place for place in _places(documents()) if place]


def _mutated(changes: list[tuple[tuple[Any, ...], Any]]) -> list[Any]:
    whole: Any = documents()
    for path, value in changes:
        *way, last = path
        target = whole
        try:
            for key in way:
                target = target[key]
            target[last] = value
        except (KeyError, IndexError, TypeError):
            continue  # an earlier change took the place away
    return list(whole)


@settings(max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(_PLACES), _VALUES), min_size=1, max_size=4))
def test_no_mutation_gives_a_traceback(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    for finding in lint(_mutated(changes)):
        assert str(finding)
        assert finding.fix
        json.dumps(finding.as_json())


@given(st.lists(st.tuples(st.sampled_from(_PLACES), st.sampled_from(_PLACES)), min_size=1, max_size=4))
def test_parts_may_stand_where_they_do_not_belong(
    moves: list[tuple[tuple[Any, ...], tuple[Any, ...]]],
) -> None:
    whole = documents()

    def at(path: tuple[Any, ...]) -> Any:
        value: Any = whole
        for key in path:
            value = value[key]
        return value

    lint(_mutated([(target, at(source)) for target, source in moves]))


@given(_VALUES | st.lists(_VALUES, max_size=3))
def test_anything_can_be_asked_about(value: Any) -> None:
    assert isinstance(lint([value]), list)


@settings(max_examples=60)
@given(st.data())
def test_texts_with_a_piece_lost_or_doubled(data: st.DataObject) -> None:
    text = _TEXT
    start = data.draw(st.integers(0, len(text)))
    end = data.draw(st.integers(start, min(len(text), start + 40)))
    text = (
        text[:start]
        + data.draw(st.sampled_from(["", text[start:end] * 2, "\t", "{", "&a ", "*a", "- "]))
        + text[end:]
    )
    with contextlib.suppress(DefinitionError):
        lint_text(text, "x.yaml")


@given(st.text(alphabet="inputs.parameter_values['a']()&|=!<>+-?:{}, 1\"", max_size=40))
def test_conditions(text: str) -> None:
    list(cel.check(text, (), None))


@given(st.text(alphabet="0123456789.eEkKMiGnum+- ", max_size=14))
def test_quantities(text: str) -> None:
    amount = quantity(text)
    assert amount is None or amount.is_finite()
