"""Our YAML, read by somebody else's reader."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st

from tidemill.runners.kubeflow.yaml_text import dumps

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20) | st.sampled_from(
    [
        *(
            "true",
            "No",
            "~",
            "null",
            "Null",
            "nan",
            ".inf",
            "1e5",
            "1_000",
            "0x1f",
            "0o7",
            "12:30:45",
            "=",
            "<<",
        ),
        *("2001-01-01", "- a", "a: b", "a #b", "#", "? a", "---", "...", "%x", "@x", "`x`", "&a", "*a", "!a"),
        *(
            "{{$}}",
            "[a]",
            "|",
            ">",
            "'",
            '"',
            "\\",
            " a",
            "a ",
            "",
            "\t",
            "\r\n",
            "\x85",
            "\u2028",
            "\ufeff",
            "y",
        ),
    ]
)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=20,
)


@given(VALUES)
@example({"a": [[], {}, [[1], {"b": []}], [{"c": 1, "d": [2]}, [[[3]]]]]})
@example([1e300, 5e-324, -0.0, 1e16, 123456789012345678])
def test_a_reader_gets_the_value_back(value: Any) -> None:
    text = dumps(value)
    for loader in (yaml.SafeLoader, yaml.CSafeLoader):
        found = yaml.load(text, Loader=loader)
        assert json.dumps(found, sort_keys=True) == json.dumps(value, sort_keys=True)
    assert text.endswith("\n")
    assert "\n\n" not in text
    assert dumps(json.loads(json.dumps(value))) == text, "the order of keys is ours"


@pytest.mark.parametrize("value", [math.nan, math.inf, {1: 2}, {"a": {1}}, object(), {"x" * 2000: 1}])
def test_what_is_no_json_is_refused(value: Any) -> None:
    with pytest.raises((TypeError, ValueError)):
        dumps(value)


def test_people_can_read_it() -> None:
    value = {"b": ["x", {"c": 1, "a": []}, ["z"]], "a": {"image": "r.example:5000/p@sha256:0", "v": "2.1.0"}}
    assert dumps(value) == (
        'a:\n  image: r.example:5000/p@sha256:0\n  v: "2.1.0"\nb:\n- x\n- a: []\n  c: 1\n- - z\n'
    )
