"""States as bytes: what goes in comes out, equal values give equal bytes, and broken bytes are refused."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.data.engine.encoding import pack, unpack

plain = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text() | st.binary(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@given(plain)
def test_values_come_back(value: Any) -> None:
    data = pack(value)
    assert unpack(data) == value
    assert pack(unpack(data)) == data


@given(plain, st.data())
def test_bytes_that_end_early_or_late_are_refused(value: Any, data: st.DataObject) -> None:
    packed = pack(value)
    for broken in (packed[: data.draw(st.integers(0, len(packed) - 1))], packed + b"N"):
        with pytest.raises(ValueError, match="not a state"):
            unpack(broken)


@pytest.mark.parametrize("dtype", ["?", "i1", "<i8", "u2", "<u8", "<f4", ">f8"])
def test_arrays_come_back_in_their_widest_form(dtype: str) -> None:
    array = np.array([0, 1, 1], dtype)
    found = unpack(pack([array]))[0]
    assert found.tolist() == array.tolist()
    assert found.dtype.itemsize in (1, 8)
    found[0] = 1  # a state is changed in place


def test_the_form_is_frozen() -> None:
    value = {"n": [None, True, -1, 2**64, 0.5, "ü", b"\0"], "a": np.array([1.0])}
    assert pack(value).hex() == (
        "6402000000010000006e6c070000004e5469ffffffffffffffff4909000000000000000000000001"
        "66000000000000e03f7302000000c3bc620100000000000000000100000061616601000000000000"
        "00000000000000f03f"
    )
    assert math.isnan(unpack(pack(math.nan)))


def test_other_values_have_no_form() -> None:
    for value in (object(), {1, 2}, np.zeros((2, 2)), np.array(["a"])):
        with pytest.raises(TypeError, match="a state cannot hold"):
            pack(value)
