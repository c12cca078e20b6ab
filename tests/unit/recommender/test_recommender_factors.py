"""The factorisation: what it learns, what it does with strangers, what it leaves on disk."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from factors import Recommender, fit

USERS = ("ann", "bob", "cas", "dan")
ITEMS = ("tea", "pot", "oil", "tyre")


def two_tastes() -> Recommender:
    """ann and bob take tea things, cas and dan car things; bob has no pot yet, dan no tyre."""
    pairs = np.array([(0, 0), (0, 1), (1, 0), (2, 2), (2, 3), (3, 2), (0, 0)])
    return fit(USERS, ITEMS, pairs[:, 0], pairs[:, 1], np.ones(len(pairs)), factors=2)


def test_it_recommends_what_people_of_the_same_taste_take() -> None:
    bob, dan = two_tastes().scores(["bob", "dan"])
    assert bob[1] > max(bob[2], bob[3])
    assert dan[3] > max(dan[0], dan[1])


def test_strangers_get_the_summed_strength_of_each_item() -> None:
    model = two_tastes()
    stranger, ann = model.scores(["eve", "ann"])
    assert stranger.tolist() == [3.0, 1.0, 2.0, 1.0]
    assert ann.tolist() != stranger.tolist()
    assert model.scores([]).shape == (0, 4)


def test_saving_and_loading_gives_the_same_scores_without_pickle(tmp_path: Path) -> None:
    model = two_tastes()
    model.save(tmp_path)
    assert sorted(p.suffix for p in tmp_path.iterdir()) == [".json", ".npy", ".npy", ".npy"]
    again = Recommender.load(tmp_path)
    who = [*USERS, "eve"]
    assert (again.users, again.items) == (USERS, ITEMS)
    np.testing.assert_array_equal(again.scores(who), model.scores(who))


def test_fitting_is_repeatable() -> None:
    rng = np.random.default_rng(0)
    user, item, strength = rng.integers(0, 60, 900), rng.integers(0, 40, 900), rng.random(900) + 0.1
    names = [[str(n) for n in range(size)] for size in (60, 40)]
    first, second = (fit(*names, user, item, strength, factors=8) for _ in range(2))
    np.testing.assert_array_equal(first.item_factors, second.item_factors)
    assert first.user_factors.shape == (60, 8)


@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (3, 1), (2, 2)])
def test_a_shop_too_small_to_factorise_still_works(shape: tuple[int, int]) -> None:
    names = [[str(n) for n in range(size)] for size in shape]
    user, item = (index.ravel() for index in np.indices(shape))
    model = fit(*names, user, item, np.arange(1.0, len(user) + 1))
    assert model.scores(["0"]).argmax() == shape[1] - 1


def test_nothing_to_learn_from_is_refused() -> None:
    nothing = np.array([], dtype=np.int64)
    with pytest.raises(ValueError, match="no interactions"):
        fit(USERS, ITEMS, nothing, nothing, np.array([]))
