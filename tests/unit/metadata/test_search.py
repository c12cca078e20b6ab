"""The language of searches, and that no text is anything but a search or one error."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import StoreError
from tidemill.metadata.search import Term, parse
from tidemill.metadata.sql import SqlStore, open_store
from tidemill.testing.store_search import found, write_models


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SqlStore]:
    store = open_store(str(tmp_path_factory.mktemp("search") / "metadata.db"))
    write_models(store)
    yield store
    store.close()


@pytest.mark.parametrize(("text", "terms"), [
    ("taxi", [Term("taxi")]),
    ("  a\tb ", [Term("a"), Term("b")]),
    ('"two words" x', [Term("two words"), Term("x")]),
    (r'"a \"quote\" and \\"', [Term('a "quote" and \\')]),
    ("auc>=0.9", [Term("0.9", "auc", ">=")]),
    ("a!=b", [Term("b", "a", "!=")]),
    ("a=b=c", [Term("b=c", "a", "=")]),
    ("a=", [Term("", "a", "=")]),
    ('"my key"="a b"', [Term("a b", "my key", "=")]),
    ('"a=b"', [Term("a=b")]),
    ('half"quoted text"here', [Term("halfquoted texthere")]),
    ("back\\slash", [Term("back\\slash")]),
])  # fmt: skip
def test_terms(text: str, terms: list[Term]) -> None:
    assert list(parse(text)) == terms


@settings(max_examples=300, deadline=None)
@given(text=st.text(max_size=40) | st.text(alphabet="ab\"\\ =<>!%_'0.9e", max_size=40))
def test_any_text_is_a_search_or_an_error(store: SqlStore, text: str) -> None:
    try:
        hits = store.search(text)
    except StoreError:
        return
    assert [h.score for h in hits] == sorted((h.score for h in hits), reverse=True)
    assert all(h.matches for h in hits), text


def test_the_best_comes_first(store: SqlStore) -> None:
    """A name counts more than a type, that more than a property; what is whole counts twice."""
    scores = {hit.name: hit.score for hit in store.search("taxi", kinds=["context", "run"])}
    assert scores["taxi"] == 8
    assert scores["taxi.trainer"] == 4
    assert scores["r1"] == 6  # the run's pipeline
    assert found(store, "Model", "artifact", type="Model")[0] == "artifact best of r2"


def test_a_state_that_nothing_has_is_a_slip(store: SqlStore) -> None:
    with pytest.raises(StoreError, match="no state") as told:
        store.search("state=COMPLET")
    assert "COMPLETE" in told.value.hint
