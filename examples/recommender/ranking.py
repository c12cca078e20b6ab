"""How good a ranked list is: recall, NDCG and coverage at k, for many users at once.

Every function takes `top`, an int array (users, >= k) of item columns, best first, with -1 for "nothing
to recommend", and `relevant`, a bool array (users, items) of what each user really took next. A user
without a relevant item has no defined score, so such a row is a ValueError: drop those users first.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


def top_k(scores: Floats, exclude: Bools, k: int) -> Ints:
    """(users, k) columns of the highest scores, best first; -1 where too few items are left.

    Items marked in `exclude` are never recommended. Equal scores go to the lower column, so that the
    same model always gives the same list.
    """
    masked = np.where(exclude, -np.inf, scores)
    order = np.argsort(-masked, axis=1, kind="stable")[:, :k]
    found = np.isfinite(np.take_along_axis(masked, order, axis=1))
    top = np.where(found, order, -1)
    return np.pad(top, ((0, 0), (0, k - top.shape[1])), constant_values=-1)


def recall(top: Ints, relevant: Bools, k: int) -> Floats:
    """Per user, the share of the relevant items that are among the first k.

    The information retrieval definition (Manning, Raghavan & Schuetze 2008, chapter 8): the divisor is
    the number of relevant items even where it is larger than k.
    """
    return np.asarray(_hits(top, relevant, k).sum(axis=1) / relevant.sum(axis=1))


def ndcg(top: Ints, relevant: Bools, k: int) -> Floats:
    """Per user, the discounted gain of the first k over the best that any list could reach.

    Normalised discounted cumulative gain (Jarvelin & Kekalainen 2002) with gain 1 for a relevant item
    and, as in Burges et al. 2005, the discount log2(1 + rank) from rank 1 on.
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    gain = _hits(top, relevant, k) @ discount
    ideal = np.concatenate([[0.0], np.cumsum(discount)])
    return np.asarray(gain / ideal[np.minimum(relevant.sum(axis=1), k)])


def coverage(top: Ints, k: int, items: int) -> float:
    """The share of the catalogue of `items` columns that is in at least one user's first k."""
    shown = np.unique(top[:, :k])
    return float((shown >= 0).sum() / items) if items else 0.0


def _hits(top: Ints, relevant: Bools, k: int) -> Bools:
    """(users, k): is the item at this rank relevant?"""
    if top.shape[1] < k:
        raise ValueError(f"asked for k={k}, but the lists have {top.shape[1]} places")
    if not relevant.any(axis=1).all():
        raise ValueError("a user without relevant items has no recall and no NDCG")
    first = top[:, :k]
    return np.asarray(np.take_along_axis(relevant, np.maximum(first, 0), axis=1) & (first >= 0))
