"""Plain values: JSON, runtime parameters and sets of files."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import ResolutionError
from tidemill.types.json import canonical, digest, not_json
from tidemill.types.parameter import PARAMETER_TYPES, mismatch, parse
from tidemill.types.source import FileSet, SourceFile

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=6,
)


def shuffled(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: shuffled(item) for key, item in reversed(value.items())}
    return tuple(shuffled(item) for item in value) if isinstance(value, list) else value


@given(json_values)
def test_canonical_json_is_json_and_knows_no_order(value: Any) -> None:
    assert not_json(value) == ""
    assert repr(sort(json.loads(canonical(value)))) == repr(sort(value))
    assert canonical(shuffled(value)) == canonical(value)
    assert digest(shuffled(value)) == digest(value)


def sort(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: sort(value[key]) for key in sorted(value)}
    return [sort(item) for item in value] if isinstance(value, list) else value


@given(json_values, json_values)
def test_different_values_have_different_canonical_json(one: Any, other: Any) -> None:
    assert (canonical(one) == canonical(other)) == (repr(sort(one)) == repr(sort(other)))


def test_the_canonical_form_is_fixed() -> None:
    assert canonical({"b": [1, 1.0, 1e-7, True, None], "ä": "\n€"}) == (
        '{"b":[1,1.0,1e-07,true,null],"ä":"\\n€"}'.encode()
    )
    assert digest({}) == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_json_lacks_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match="Out of range float"):
        canonical([value])
    assert not_json([{"a": value}]) == f"value[0]['a'] is {value}, which JSON cannot hold"


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ({1: 2}, "x has the key 1; keys must be str"),
        ({"a": {2: 3}}, "x['a'] has the key 2; keys must be str"),
        ([1, {3}], "x[1] is a set, which is not JSON"),
        (("ok", b""), "x[1] is a bytes, which is not JSON"),
        ({"a": object}, "x['a'] is a type, which is not JSON"),
        (["\ud800"], "x[0] holds half of a surrogate pair, which is not text"),
        ({"\udfff": 1}, "a key of x holds half of a surrogate pair, which is not text"),
    ],
)
def test_what_is_not_json_is_named_with_its_place(value: Any, why: str) -> None:
    assert not_json(value, "x") == why


@pytest.mark.parametrize(
    ("text", "type_name", "value"),
    [
        ("7", "int", 7),
        ("-7", "int", -7),
        ("0.5", "float", 0.5),
        ("1", "float", 1.0),
        ("1e3", "float", 1000.0),
        ("", "str", ""),
        ("7", "str", "7"),
        ("true", "bool", True),
        ("Yes", "bool", True),
        ("0", "bool", False),
        ("OFF", "bool", False),
        ('{"a": [1, null]}', "json", {"a": [1, None]}),
    ],
)
def test_a_text_is_read_as_its_type(text: str, type_name: str, value: object) -> None:
    found = parse(text, type_name, name="p")
    assert (found, type(found)) == (value, type(value))
    assert mismatch(found, type_name) == ""


@pytest.mark.parametrize(
    ("text", "type_name", "why"),
    [
        ("7.5", "int", "invalid literal"),
        ("", "int", "invalid literal"),
        ("half", "float", "could not convert"),
        ("2", "bool", "write true or false"),
        ("{", "json", "Expecting property name"),
    ],
)
def test_a_text_of_another_type_is_refused(text: str, type_name: str, why: str) -> None:
    with pytest.raises(ResolutionError) as caught:
        parse(text, type_name, name="rate")
    assert caught.value.message.startswith(f"parameter rate={text!r} is not a valid {type_name}: {why}")


@given(json_values)
def test_a_json_parameter_is_read_back(value: Any) -> None:
    assert repr(parse(json.dumps(value), "json", name="p")) == repr(value)


@pytest.mark.parametrize(
    ("value", "type_name", "why"),
    [
        (True, "int", "expected int, got bool True"),
        (1.0, "int", "expected int, got float 1.0"),
        (False, "float", "expected float, got bool False"),
        ("1", "float", "expected float, got str '1'"),
        (math.nan, "float", "value is nan, which JSON cannot hold"),
        (math.inf, "float", "value is inf, which JSON cannot hold"),
        (1, "str", "expected str, got int 1"),
        (0, "bool", "expected bool, got int 0"),
        (None, "int", "expected int, got NoneType None"),
        ([{1}], "json", "value[0] is a set, which is not JSON"),
        ([math.nan], "json", "value[0] is nan, which JSON cannot hold"),
    ],
)
def test_a_value_of_another_type_is_refused(value: object, type_name: str, why: str) -> None:
    assert mismatch(value, type_name) == why


def test_a_value_fits_its_own_type() -> None:
    fitting = {"int": 1, "float": 1, "str": "", "bool": True, "json": [None]}
    assert fitting.keys() == PARAMETER_TYPES.keys()
    assert [mismatch(value, name) for name, value in fitting.items()] == [""] * 5


source_files = st.builds(SourceFile, uri=st.text(), size=st.integers(min_value=0), digest=st.text())


@given(
    st.builds(
        FileSet,
        pattern=st.text(),
        files=st.lists(source_files, max_size=3).map(tuple),
        span=st.none() | st.integers(),
        version=st.none() | st.integers(),
    )
)
def test_a_set_of_files_survives_json(files: FileSet) -> None:
    assert FileSet.from_json(json.loads(json.dumps(files.to_json()))) == files
