"""What is judged, and what must never leak into it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from factors import Recommender
from model import aged, judge, recommend


def fixed(scores: dict[str, list[float]], popularity: list[float]) -> Recommender:
    """A model with exactly these scores: the item factors are the unit vectors."""
    items = tuple(f"i{n}" for n in range(len(popularity)))
    factors = np.array(list(scores.values())).reshape(-1, len(items))
    return Recommender(tuple(scores), items, factors, np.eye(len(items)), np.array(popularity))


MODEL = fixed({"ann": [0.1, 0.9, 0.5, 0.2], "bob": [0.9, 0.1, 0.2, 0.3]}, [1.0, 2.0, 3.0, 4.0])


def test_a_perfect_and_a_partial_list() -> None:
    found = judge(MODEL, ([], []), (["ann", "bob", "bob"], ["i1", "i0", "i1"]))
    # bob's list is i0, i3, i2, i1: his second item comes at rank 4.
    bob = (1 + 1 / np.log2(5)) / (1 + 1 / np.log2(3))
    assert found["ndcg@10"] == pytest.approx((1 + bob) / 2)
    assert found["recall@10"] == 1.0
    assert found["users"] == 2.0
    assert found["coverage"] == 1.0


def test_items_had_before_the_cut_are_neither_recommended_nor_counted() -> None:
    repeated = judge(MODEL, (["ann"], ["i1"]), (["ann", "ann"], ["i1", "i2"]))
    assert repeated["ndcg@10"] == 1.0
    with pytest.raises(ValueError, match="nobody took anything new"):
        judge(MODEL, (["ann"], ["i1"]), (["ann"], ["i1"]))


def test_strangers_are_ranked_by_popularity_and_count() -> None:
    found = judge(MODEL, ([], []), (["eve"], ["i3"]))
    assert found["ndcg@10"] == found["popularity_ndcg@10"] == 1.0
    assert found["lift_over_popularity"] == 1.0


def test_an_item_the_model_never_saw_is_a_miss_not_an_error() -> None:
    found = judge(MODEL, ([], []), (["ann", "ann"], ["i1", "brand new"]))
    assert found["recall@10"] == 0.5
    assert found["ndcg@10"] == pytest.approx(1 / (1 + 1 / np.log2(3)))


def test_the_past_of_others_does_not_matter() -> None:
    alone = judge(MODEL, ([], []), (["ann"], ["i2"]))
    assert judge(MODEL, (["bob", "eve"], ["i2", "i2"]), (["ann"], ["i2"])) == alone


def test_strength_halves_every_two_days() -> None:
    moments = np.array(["2026-03-03T12:00", "2026-03-05T12:00", "2026-03-01T12:00"], dtype="datetime64[us]")
    assert aged(np.array([4.0, 4.0, 4.0]), moments).tolist() == pytest.approx([2.0, 4.0, 1.0])


def test_recommending_from_a_folder(tmp_path: Path) -> None:
    MODEL.save(tmp_path)
    assert recommend(tmp_path, "ann", 2) == ["i1", "i2"]
    assert recommend(tmp_path, "ann", 2, exclude=["i1"]) == ["i2", "i3"]
    assert recommend(tmp_path, "eve", 9) == ["i3", "i2", "i1", "i0"]
