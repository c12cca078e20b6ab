"""The recommender itself: a taste vector for each user, a character vector for each item.

A truncated singular value decomposition of the user-item matrix (scipy's ARPACK solver), kept as plain
NumPy arrays and JSON: a model folder holds no pickle and needs only NumPy to be used. Why this method:
docs/decisions/0006-recommender-model.md. This file knows nothing of tidemill.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Recommender:
    """A fitted model. Row n of a matrix belongs to entry n of `users` or `items`."""

    users: tuple[str, ...]
    items: tuple[str, ...]
    user_factors: Floats
    """(users, factors)"""
    item_factors: Floats
    """(items, factors)"""
    popularity: Floats
    """(items,): summed strength, what a stranger is ranked by."""

    def scores(self, users: Sequence[str]) -> Floats:
        """(len(users), items), higher is better. Users unseen in training get the popularity."""
        row_of = {user: row for row, user in enumerate(self.users)}
        rows = np.array([row_of.get(user, -1) for user in users], dtype=np.int64)
        known = rows >= 0
        scores = np.tile(self.popularity, (len(rows), 1))
        scores[known] = self.user_factors[rows[known]] @ self.item_factors.T
        return scores

    def save(self, folder: Path) -> None:
        """Write `ids.json` and three `.npy` files into an existing folder."""
        ids = {"users": self.users, "items": self.items}
        (folder / "ids.json").write_text(json.dumps(ids), encoding="utf-8")
        np.save(folder / "user_factors.npy", self.user_factors, allow_pickle=False)
        np.save(folder / "item_factors.npy", self.item_factors, allow_pickle=False)
        np.save(folder / "popularity.npy", self.popularity, allow_pickle=False)

    @classmethod
    def load(cls, folder: Path) -> Recommender:
        """Inverse of `save`."""
        ids = json.loads((folder / "ids.json").read_text(encoding="utf-8"))
        return cls(
            users=tuple(ids["users"]),
            items=tuple(ids["items"]),
            user_factors=np.load(folder / "user_factors.npy", allow_pickle=False),
            item_factors=np.load(folder / "item_factors.npy", allow_pickle=False),
            popularity=np.load(folder / "popularity.npy", allow_pickle=False),
        )


def fit(
    users: Sequence[str], items: Sequence[str], user: Ints, item: Ints, strength: Floats, *, factors: int = 32
) -> Recommender:
    """Factorise the interactions; `user` and `item` index `users` and `items`, one entry per row.

    Strengths of the same pair add up, and enter as log(1 + sum), so that the tenth view says less than
    the first. `factors` is lowered where the matrix is too small for it. Raises ValueError when there
    are no interactions.
    """
    if not len(user):
        raise ValueError("there are no interactions to learn from")
    from scipy import sparse  # only training needs scipy
    from scipy.sparse.linalg import svds

    shape = (len(users), len(items))
    matrix = sparse.csr_array((strength, (user, item)), shape=shape)
    popularity: Floats = np.bincount(item, weights=strength, minlength=len(items)).astype(np.float64)
    matrix.data = np.log1p(matrix.data)
    rank = min(factors, min(shape) - 1)
    if rank < 1:
        return Recommender(
            tuple(users), tuple(items), np.ones((shape[0], 1)), popularity[:, None], popularity
        )
    start = np.full(min(shape), 1.0 / np.sqrt(min(shape)))
    left, weight, right = svds(matrix, k=rank, v0=start)
    return Recommender(
        users=tuple(users),
        items=tuple(items),
        user_factors=np.ascontiguousarray(left * weight),
        item_factors=np.ascontiguousarray(right.T),
        popularity=popularity,
    )
