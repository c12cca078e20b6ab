"""Which recommender? The candidates of docs/decisions/0006-recommender-model.md on the same simulated days.

Time-ordered: a candidate learns from the two days before and from the day itself up to the cut, and is
judged on what people took after the cut. Items that a person already had that day before the cut are
neither recommended nor counted; strangers get the most popular items from every candidate. Settings
were chosen on seed 11, so that seed 7 is news to all of them. Libraries that cannot be imported are
skipped, and the reason printed.

    python examples/recommender/compare.py
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.csv
from factors import fit
from numpy.typing import NDArray
from ranking import Bools, Floats, Ints, coverage, ndcg, recall, top_k
from simulate import simulate_day

CUT = 20
"""Hour of the day that splits past from future."""
WINDOW = 3
FACTORS = 32
STRENGTH = {"view": 1.0, "click": 2.0, "purchase": 4.0}
HALF_LIFE = 2.0
"""Days after which an interaction counts half."""


@dataclass(frozen=True)
class Task:
    """One evening to predict. Users and items are numbered across the whole task."""

    matrix: Any
    """scipy CSR (users, items): summed strength of the window before the cut."""
    earlier: Any
    """The same without the day itself, for candidates that learn from labels."""
    today: Any
    """The day itself before the cut."""
    seen: Bools
    """(users, items): had today before the cut."""
    relevant: Bools
    """(users, items): taken after the cut, and not `seen`."""


def make_task(days: list[Any]) -> Task:
    """The last of `days` is the one to predict; each is a table of one CSV file."""
    table = pyarrow.concat_tables(days)
    _, user = np.unique(table["user_id"].to_numpy(), return_inverse=True)
    _, item = np.unique(table["item_id"].to_numpy(), return_inverse=True)
    age = np.repeat(np.arange(len(days))[::-1], [len(day) for day in days])
    hour = pc.hour(table["timestamp"]).to_numpy()
    kind = np.array([STRENGTH[str(event)] for event in table["event"].to_pylist()])
    strength = kind * 0.5 ** (age / HALF_LIFE)
    shape = (user.max() + 1, item.max() + 1)
    future = (age == 0) & (hour >= CUT)

    def counted(rows: NDArray[np.bool_]) -> Any:
        from scipy.sparse import csr_array

        return csr_array((strength[rows], (user[rows], item[rows])), shape=shape)

    today = counted((age == 0) & ~future)
    seen = today.toarray() > 0
    return Task(counted(~future), counted(age > 0), today, seen, (counted(future).toarray() > 0) & ~seen)


def popularity(task: Task) -> Floats:
    """The same list for everyone."""
    return np.tile(np.asarray(task.matrix.sum(axis=0)).ravel(), (task.matrix.shape[0], 1))


def own_history(task: Task) -> Floats:
    """What this user took before, and then what is popular: memory without any learning."""
    return np.asarray(task.matrix.toarray() + 1e-9 * popularity(task))


def scipy_svd(task: Task) -> Floats:
    """The model of this example."""
    pairs = task.matrix.tocoo()
    names = [[str(n) for n in range(size)] for size in pairs.shape]
    user, item = (index.astype(np.int64) for index in pairs.coords)
    model = fit(names[0], names[1], user, item, pairs.data, factors=FACTORS)
    return np.asarray(model.user_factors @ model.item_factors.T)


def sklearn_svd(task: Task) -> Floats:
    """The same factorisation by scikit-learn's randomised solver."""
    from sklearn.decomposition import TruncatedSVD

    model = TruncatedSVD(FACTORS, random_state=0)
    return np.asarray(model.fit_transform(task.matrix.log1p()) @ model.components_)


def sklearn_nmf(task: Task) -> Floats:
    """Non-negative factors."""
    from sklearn.decomposition import NMF

    model = NMF(24, init="nndsvda", max_iter=300, tol=1e-3, random_state=0)
    return np.asarray(model.fit_transform(task.matrix.log1p()) @ model.components_)


def item_cosine(task: Task) -> Floats:
    """Items that the same people take."""
    matrix = task.matrix.log1p()
    length = np.sqrt(np.asarray(matrix.power(2).sum(axis=0)).ravel())
    alike = (matrix.T @ matrix).toarray() / np.maximum(np.outer(length, length), 1e-12)
    np.fill_diagonal(alike, 0.0)
    return np.asarray(matrix @ alike)


def implicit_als(task: Task) -> Floats:
    """Weighted alternating least squares (Hu, Koren & Volinsky 2008)."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=16, regularization=30.0, alpha=10.0, iterations=15, random_state=0, num_threads=1
    )
    return _implicit(model, task)


def implicit_bpr(task: Task) -> Floats:
    """Bayesian personalised ranking (Rendle et al. 2009)."""
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=16, learning_rate=0.01, regularization=0.01, iterations=100, random_state=0, num_threads=1
    )
    return _implicit(model, task)


def _implicit(model: Any, task: Task) -> Floats:
    from scipy.sparse import csr_matrix

    model.fit(csr_matrix(task.matrix, dtype=np.float32), show_progress=False)
    return np.asarray(model.user_factors @ model.item_factors.T, dtype=np.float64)


def lightgbm_ranker(task: Task) -> Floats:
    """LambdaMART on features of a (user, item) pair made from the past: fame, memory, item cosine.

    It learns on the day itself before the cut, from features of the days before, and is then given the
    same features of the whole window.
    """
    import lightgbm

    past = Task(task.earlier, task.earlier, task.today, task.seen, task.relevant)
    label = task.today.toarray() > 0
    people = np.flatnonzero(label.any(axis=1) & (np.asarray(task.earlier.sum(axis=1)).ravel() > 0))
    rng = np.random.default_rng(0)
    shown = label[people] | (rng.random((len(people), label.shape[1])) < 0.1)
    features = _pair_features(past)
    ranker = lightgbm.LGBMRanker(
        n_estimators=150, learning_rate=0.1, num_leaves=15, random_state=0, n_jobs=1, verbose=-1
    )
    ranker.fit(features[people][shown], label[people][shown], group=shown.sum(axis=1))
    users, items, width = features.shape
    flat = _pair_features(task).reshape(-1, width)
    return np.asarray(ranker.booster_.predict(flat, num_threads=1)).reshape(users, items)


def _pair_features(task: Task) -> Floats:
    """(users, items, 5)"""
    taken = task.matrix.toarray()
    fame = np.broadcast_to(taken.sum(axis=0), taken.shape)
    activity = np.broadcast_to(taken.sum(axis=1, keepdims=True), taken.shape)
    return np.stack([fame, activity, taken, item_cosine(task), scipy_svd(task)], axis=2)


CANDIDATES: dict[str, Callable[[Task], Floats]] = {
    "popularity": popularity,
    "own history": own_history,
    "item-item cosine": item_cosine,
    "SVD, scipy": scipy_svd,
    "SVD, scikit-learn": sklearn_svd,
    "NMF, scikit-learn": sklearn_nmf,
    "ALS, implicit": implicit_als,
    "BPR, implicit": implicit_bpr,
    "LightGBM ranker": lightgbm_ranker,
}


def judge(candidate: Callable[[Task], Floats], task: Task) -> Floats:
    """recall@10, recall@20, NDCG@10, NDCG@20, coverage@10 and seconds to fit and score everyone."""
    started = time.perf_counter()
    scores = candidate(task)
    seconds = time.perf_counter() - started
    strangers = ~(task.matrix.toarray() > 0).any(axis=1)
    scores[strangers] = popularity(task)[strangers]
    judged = task.relevant.any(axis=1)
    top: Ints = top_k(scores[judged], task.seen[judged], 20)
    relevant = task.relevant[judged]
    return np.array(
        [
            recall(top, relevant, 10).mean(),
            recall(top, relevant, 20).mean(),
            ndcg(top, relevant, 10).mean(),
            ndcg(top, relevant, 20).mean(),
            coverage(top, 10, relevant.shape[1]),
            seconds,
        ]
    )


def main() -> int:
    """Print one line per candidate, averaged over the days that have a full window."""
    parser = argparse.ArgumentParser(description="Compare recommenders on simulated days.")
    parser.add_argument("--days", type=int, default=5, help="days to simulate (default 5)")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another shop (default 7)")
    parser.add_argument("--drift", type=float, default=1.0, help="speed of changing tastes (default 1)")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        first = date(2026, 3, 1)
        files = [
            simulate_day(first + timedelta(days=n), Path(folder), seed=given.seed, drift=given.drift)
            for n in range(given.days)
        ]
        days = [pyarrow.csv.read_csv(file) for file in files]
    tasks = [make_task(days[end - WINDOW : end]) for end in range(WINDOW, len(days) + 1)]
    print(f"{len(tasks)} evenings, {sum(int(t.relevant.any(axis=1).sum()) for t in tasks)} users judged\n")
    print(f"{'candidate':20}recall@10  recall@20  NDCG@10  NDCG@20  coverage@10  seconds")
    for name, candidate in CANDIDATES.items():
        try:
            candidate(tasks[0])  # imports and first-time costs are not training time
        except (ImportError, OSError) as error:
            print(f"{name:20}skipped: {error}")
            continue
        r10, r20, n10, n20, cover, seconds = np.mean([judge(candidate, task) for task in tasks], axis=0)
        print(f"{name:20}{r10:9.4f}{r20:11.4f}{n10:9.4f}{n20:9.4f}{cover:13.3f}{seconds:9.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
