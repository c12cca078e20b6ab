"""What the pipeline calls: features for Transform, training for Trainer, metrics for Evaluator; and serving.

The evening of the newest day is what models are judged by: everything before CUT is past, the rest is
future. Training sees the past only. An item that a user already had that day is neither recommended nor
counted as a hit, for every model alike, so that no model is paid for repeating the running session.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from factors import Recommender, fit
from numpy.typing import NDArray
from ranking import Bools, Floats, Ints, coverage, ndcg, recall, top_k

import tidemill.data.transform as tft
from tidemill.components.trainer.fn_args import Dataset, FnArgs

STRENGTH = {"view": 1.0, "click": 2.0, "purchase": 4.0}
"""What an event says about a preference, in views."""
HALF_LIFE_DAYS = 2.0
CUT = "20:00"
"""Of the newest day: what comes before it is past, the rest is future."""
DAY = np.timedelta64(1, "D")
FEATURES = ("user", "item", "strength", "timestamp")
Pairs = tuple[Sequence[str], Sequence[str]]
"""Users and items, row by row."""


def preprocessing_fn(inputs: Mapping[str, tft.Column]) -> dict[str, tft.Column]:
    """Numbers for users and items (-1 outside the vocabulary), and what each event weighs."""
    event = inputs["event"]
    strength = tft.where(event == "click", STRENGTH["click"], STRENGTH["view"])
    return {
        "user": tft.compute_and_apply_vocabulary(inputs["user_id"]),
        "item": tft.compute_and_apply_vocabulary(inputs["item_id"]),
        "strength": tft.where(event == "purchase", STRENGTH["purchase"], strength),
        "timestamp": inputs["timestamp"],
    }


def run_fn(args: FnArgs) -> None:
    """Train on the past of the window and save the model into `args.model_dir`.

    hyperparameters: `factors`, the length of the taste vectors (default 32).
    """
    if args.transform_graph is None:
        raise ValueError("the vocabularies of users and items are in the transform graph; pass it to Trainer")
    user, item, strength, moment = _past(args.train, args.eval)
    users, items = args.transform_graph.vocabulary("user"), args.transform_graph.vocabulary("item")
    factors = int(args.hyperparameters.get("factors", 32))
    model = fit(users, items, user, item, aged(strength, moment), factors=factors)
    model.save(args.model_dir)
    args.describe_model(
        framework="numpy",
        framework_version=np.__version__,
        inputs={"user_id": "string"},
        outputs=["item_id"],
        details={"users": len(users), "items": len(items), "factors": model.item_factors.shape[1]},
    )
    print(f"{len(user)} interactions of {len(users)} users with {len(items)} items")


def _past(train: Dataset, later: Dataset) -> tuple[Ints, Ints, Floats, NDArray[np.datetime64]]:
    """The rows to learn from: all before the cuts, and of days that are over what came after the cut, too.

    What came after the cut of the newest day is the future, which the model will be judged on.
    """
    before, after = _columns(train), _columns(later)
    if not len(before["timestamp"]):
        raise ValueError("there are no interactions before the cut, so there is nothing to learn from")
    newest_day = before["timestamp"].max().astype("datetime64[D]")
    over = after["timestamp"] < newest_day
    rows = {name: np.concatenate([before[name], after[name][over]]) for name in FEATURES}
    known = (rows["user"] >= 0) & (rows["item"] >= 0)
    user, item, strength, moment = (rows[name][known] for name in FEATURES)
    return user, item, strength, moment


def _columns(rows: Dataset) -> dict[str, NDArray[Any]]:
    """The features as arrays; a row without a user or an item counts as outside the vocabulary."""
    table = rows.to_arrow(FEATURES)
    numbers = {
        name: np.nan_to_num(table[name].to_numpy(), nan=-1).astype(np.int64) for name in ("user", "item")
    }
    return {**numbers, "strength": table["strength"].to_numpy(), "timestamp": table["timestamp"].to_numpy()}


def evaluate_fn(model_dir: Path, examples: Dataset) -> dict[str, float]:
    """The metrics of `judge` for one day of raw rows, both sides of CUT; rows without a user are left out.

    Champion and challenger are asked about the same evening, which neither was trained on, and are
    spared the same items, those of the same day before the cut. That the challenger knows one more day
    is no unfair advantage but the question: is it worth replacing yesterday's model with today's?
    """
    table = examples.to_arrow(["timestamp", "user_id", "item_id"])
    table = table.filter(table["user_id"].is_valid())
    moment = table["timestamp"].to_numpy()
    future = moment >= np.datetime64(f"{moment.max().astype('datetime64[D]')}T{CUT}")
    users, items = (np.asarray(table[name].to_pylist(), dtype=np.str_) for name in ("user_id", "item_id"))
    past: Pairs = (users[~future].tolist(), items[~future].tolist())
    after: Pairs = (users[future].tolist(), items[future].tolist())
    return judge(Recommender.load(model_dir), past, after)


def judge(model: Recommender, past: Pairs, future: Pairs) -> dict[str, float]:
    """Metrics of `model` on who took what in one day, before the cut (`past`) and after it (`future`).

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
