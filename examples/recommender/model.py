"""What the pipeline calls: features for Transform, training for Trainer, metrics for Evaluator, and serving.

One evening is judged, so everything before the cut of the newest day is past and everything after it is
future. Training sees the past only; an item that a user already had that day is neither recommended nor
counted as a hit, for every model alike, so that nobody is paid for repeating the running session.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from factors import Recommender
from numpy.typing import NDArray
from ranking import Bools, Floats, Ints, coverage, ndcg, recall, top_k

STRENGTH = {"view": 1.0, "click": 2.0, "purchase": 4.0}
"""What an event says about a preference, in views."""
HALF_LIFE_DAYS = 2.0
DAY = np.timedelta64(1, "D")


def judge(
    model: Recommender, past: tuple[Sequence[str], Sequence[str]], future: tuple[Sequence[str], Sequence[str]]
) -> dict[str, float]:
    """Metrics of `model` on who took what: `past` and `future` are (users, items) of one day, row by row.

    Judged are the users with at least one item in `future` that is not in their `past`. Items the
    model has never seen count as misses. ValueError when nobody is left to judge.
    """
    user_of, item_of = _numbers(future[0]), _numbers((*model.items, *future[1]))
    relevant = _marks(future, user_of, item_of)
    seen = _marks(past, user_of, item_of)
    relevant &= ~seen
    judged = np.flatnonzero(relevant.any(axis=1))
    if not len(judged):
        raise ValueError("nobody took anything new after the cut, so there is nothing to judge by")
    names = list(user_of)
    users = [names[row] for row in judged]
    relevant, seen = relevant[judged], seen[judged]
    known = len(model.items)
    seen[:, known:] = True

    def best(scores: Floats) -> Ints:
        padded = np.pad(scores, ((0, 0), (0, len(item_of) - known)))
        return top_k(padded, seen, 20)

    top = best(model.scores(users))
    popular = best(np.tile(model.popularity, (len(users), 1)))
    found = float(ndcg(top, relevant, 10).mean())
    by_popularity = float(ndcg(popular, relevant, 10).mean())
    return {
        "recall@10": float(recall(top, relevant, 10).mean()),
        "recall@20": float(recall(top, relevant, 20).mean()),
        "ndcg@10": found,
        "ndcg@20": float(ndcg(top, relevant, 20).mean()),
        "popularity_ndcg@10": by_popularity,
        "lift_over_popularity": found / max(by_popularity, 1e-9),
        "coverage": coverage(top, 10, known),
        "users": float(len(users)),
    }


def recommend(model_dir: Path, user_id: str, k: int = 10, exclude: Iterable[str] = ()) -> list[str]:
    """The `k` best items for a user, best first; for a stranger the most popular ones.

    `exclude` is what is not wanted, such as the items the user has already had today.
    """
    model = Recommender.load(model_dir)
    unwanted = np.isin(np.array(model.items), list(exclude))
    top = top_k(model.scores([user_id]), unwanted[None, :], k)[0]
    return [model.items[item] for item in top if item >= 0]


def aged(strength: Floats, moment: NDArray[np.datetime64]) -> Floats:
    """Strengths that halve every HALF_LIFE_DAYS before the newest moment."""
    age = (moment.max() - moment) / DAY
    return np.asarray(strength * 0.5 ** (age / HALF_LIFE_DAYS))


def _numbers(names: Iterable[str]) -> dict[str, int]:
    """A number for each distinct name, in order of first appearance."""
    return {name: number for number, name in enumerate(dict.fromkeys(names))}


def _marks(
    pairs: tuple[Sequence[str], Sequence[str]], user_of: dict[str, int], item_of: dict[str, int]
) -> Bools:
    """(users, items) with True for each pair; pairs with an unnumbered user or item are left out."""
    marks = np.zeros((len(user_of), len(item_of)), dtype=np.bool_)
    found = [(user_of[u], item_of[i]) for u, i in zip(*pairs, strict=True) if u in user_of and i in item_of]
    if found:
        rows, columns = np.array(found).T
        marks[rows, columns] = True
    return marks
