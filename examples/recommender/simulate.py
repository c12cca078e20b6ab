"""One day of a small shop: who looked at, clicked and bought what, as a CSV file.

The running example needs data whose truth is known: people with tastes, items with fame, tastes that
drift, items that come and go, and now and then a day on which a client release breaks the log. This
file makes such days and knows nothing of pipelines or models.

A day depends on the arguments and the date alone, never on which days were written before it.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Columns = dict[str, list[str]]

ORIGIN = date(2020, 1, 1)
COLUMNS = ("timestamp", "user_id", "item_id", "event", "dwell_seconds", "device", "country")
EVENTS = ("view", "click", "purchase")
BROKEN_EVENTS = ("page_view", "item_click", "order")
"""How the broken client release spells the events."""
DEVICES = ("ios", "android", "web")
COUNTRIES = ("de", "fr", "pl", "es", "it", "nl", "se", "at")

TASTES = 8
"""Dimensions of the latent space that users and items live in."""
PERSONALITY = 1.9
"""Standard deviation of log preference due to taste."""
FAME = 1.0
"""Standard deviation of log preference due to popularity, the same for everyone."""
DEGREES_A_DAY = 12.0
"""How far tastes turn when `drift` is 1."""
LAUNCHES = 4
"""New items a day; as many old ones leave the shop."""
DAY = 86_400.0


@dataclass(frozen=True)
class _Log:
    """One day as columns, in time order."""

    second: Floats
    user: Ints
    item: Ints
    event: Ints
    dwell: Floats
    device: Ints
    country: Ints

    def take(self, rows: NDArray[Any]) -> _Log:
        """The chosen rows (indices or a mask), in that order."""
        return _Log(**{name: column[rows] for name, column in vars(self).items()})


def simulate_day(
    day: date,
    folder: Path,
    *,
    seed: int = 7,
    users: int = 4000,
    items: int = 800,
    drift: float = 1.0,
    bad: bool = False,
) -> Path:
    """Write `interactions-YYYY-MM-DD.csv` into `folder` and return its path.

    About nine rows a user: `timestamp` (ISO 8601, local time, ascending), `user_id`, `item_id`, `event`
    (one of EVENTS), `dwell_seconds` (> 0), `device`, `country`. `items` is how many are on sale that
    day. `drift` scales how fast tastes turn: 0 keeps them for ever, 1 turns them by some 12 degrees a
    day. `bad=True` is the same day as logged by a broken app release. A file that already has exactly
    this content is left untouched. Raises ValueError for sizes below 1 or a negative drift.
    """
    if users < 1 or items < 1 or drift < 0:
        raise ValueError(f"want users >= 1, items >= 1, drift >= 0; got {users=}, {items=}, {drift=}")
    number = (day - ORIGIN).days
    first_item = number * LAUNCHES
    preference = _preference(number, first_item, seed=seed, users=users, items=items, drift=drift)
    log = _visits(preference, number, seed=seed)
    columns = _columns(log, np.datetime64(day.isoformat(), "ms"), first_item)
    if bad:
        columns = _break(columns, _rng(seed, "fault", number))
    path = folder / f"interactions-{day.isoformat()}.csv"
    _write_if_changed(path, columns)
    return path


def _rng(seed: int, what: str, number: int = 0) -> np.random.Generator:
    """An independent stream for each (seed, purpose, number); numbers may be negative."""
    return np.random.default_rng([seed, *what.encode(), int(number < 0), abs(number)])


def _preference(number: int, first_item: int, *, seed: int, users: int, items: int, drift: float) -> Floats:
    """(users, items) chance that a view by this user on this day goes to this item; rows sum to 1.

    A taste turns on a circle between two random points, each user at an own speed, so any day can be
    computed without the days before it and the spread of tastes never changes.
    """
    people = _rng(seed, "people")
    here, there = people.normal(size=(2, users, TASTES))
    speed = people.uniform(0.4, 1.6, size=(users, 1))
    angle = np.deg2rad(DEGREES_A_DAY) * drift * number * speed
    taste = np.cos(angle) * here + np.sin(angle) * there

    rows = [_item(seed, first_item + k) for k in range(items)]
    character = np.stack([row[0] for row in rows])
    fame = FAME * np.array([row[1] for row in rows])
    age = (items - 1 - np.arange(items)) / LAUNCHES
    launch_boost = np.exp(-age / 3.0)
    logit = PERSONALITY * taste @ character.T / np.sqrt(TASTES) + fame + launch_boost
    weight = np.exp(logit - logit.max(axis=1, keepdims=True))
    return np.asarray(weight / weight.sum(axis=1, keepdims=True))


def _item(seed: int, number: int) -> tuple[Floats, float]:
    """An item's character and fame: its own for life, whatever day it is looked up on."""
    rng = _rng(seed, "item", number)
    return rng.normal(size=TASTES), float(rng.normal())


def _sessions(users: int, number: int, rng: np.random.Generator, *, seed: int) -> _Log:
    """One row a session: who, from when, with what. Habits last for ever; how many come is the day's."""
    people = _rng(seed, "habits")
    activity = people.lognormal(-0.5, 0.9, size=users)
    usual_device = people.choice(len(DEVICES), size=users, p=[0.3, 0.38, 0.32])
    country = people.choice(len(COUNTRIES), size=users, p=[0.3, 0.2, 0.12, 0.12, 0.1, 0.07, 0.05, 0.04])
    weekend = 1.25 if (number + ORIGIN.weekday()) % 7 >= 5 else 1.0
    visits: Ints = np.asarray(rng.poisson(weekend * activity))
    user = np.repeat(np.arange(users), visits)
    count = len(user)
    evening = rng.random(count) < 0.6
    hour = np.where(evening, rng.normal(20.0, 2.2, count), rng.normal(12.0, 3.0, count))
    device = np.where(rng.random(count) < 0.85, usual_device[user], rng.integers(0, len(DEVICES), count))
    nothing = np.zeros(count, dtype=np.int64)
    return _Log(hour * 3600.0, user, nothing, nothing, np.zeros(count), device, country[user])


def _visits(preference: Floats, number: int, *, seed: int) -> _Log:
    """Sessions of a few views each; some views lead to a click, some clicks to a purchase."""
    users, items = preference.shape
    rng = _rng(seed, "day", number)
    sessions = _sessions(users, number, rng, seed=seed)
    length: Ints = np.asarray(rng.geometric(0.14, len(sessions.user)))
    views = sessions.take(np.repeat(np.arange(len(length)), length))
    count = len(views.user)
    item = _draw(preference, views.user, rng)
    keen = np.clip(preference[views.user, item] * items, 0.1, 20.0)
    dwell = rng.lognormal(2.3 + 0.25 * np.log(keen), 0.7) + 0.1
    position = np.arange(count) - np.repeat(np.cumsum(length) - length, length)
    second = views.second + position * 25.0 + rng.random(count) * 20.0

    clicked = rng.random(count) < np.clip(0.08 * np.sqrt(keen), 0.02, 0.5)
    bought = clicked & (rng.random(count) < 0.2)
    source = np.concatenate([np.arange(count), np.flatnonzero(clicked), np.flatnonzero(bought)])
    event = np.repeat(np.arange(len(EVENTS)), [count, clicked.sum(), bought.sum()])
    log = replace(
        views.take(source),
        second=second[source] + event * dwell[source],
        item=item[source],
        event=event,
        dwell=dwell[source] * np.array([1.0, 2.0, 4.0])[event],
    )
    log = log.take((log.second >= 0) & (log.second < DAY - 1))
    return log.take(np.argsort(log.second, kind="stable"))


def _draw(preference: Floats, user: Ints, rng: np.random.Generator) -> Ints:
    """One item for each entry of `user`, by that user's preference."""
    users, items = preference.shape
    ladder = (np.cumsum(preference, axis=1) + np.arange(users)[:, None]).ravel()
    flat = np.searchsorted(ladder, user + rng.random(len(user)), side="right")
    return np.asarray(np.clip(flat - user * items, 0, items - 1))


def _columns(log: _Log, midnight: np.datetime64, first_item: int) -> Columns:
    """The log as text, column by column, the way the shop's clients spell it."""
    moment = midnight + np.round(log.second * 1000).astype("timedelta64[ms]")
    return {
        "timestamp": np.datetime_as_string(moment, unit="ms").tolist(),
        "user_id": [f"u{n:05d}" for n in log.user.tolist()],
        "item_id": [f"i{n + first_item:05d}" for n in log.item.tolist()],
        "event": [EVENTS[n] for n in log.event.tolist()],
        "dwell_seconds": [f"{n:.1f}" for n in log.dwell.tolist()],
        "device": [DEVICES[n] for n in log.device.tolist()],
        "country": [COUNTRIES[n] for n in log.country.tolist()],
    }


def _break(columns: Columns, rng: np.random.Generator) -> Columns:
    """The same day after a bad release of the phone apps.

    The collector loses half of all rows. The apps spell events anew, report dwell with the wrong sign
    (start minus end) and forget the user of every second row; the web client is as before.
    """
    kept = np.flatnonzero(rng.random(len(columns["event"])) < 0.5).tolist()
    nameless = (rng.random(len(kept)) < 0.5).tolist()
    broken = {name: [values[row] for row in kept] for name, values in columns.items()}
    for row, device in enumerate(broken["device"]):
        if device == "web":
            continue
        broken["event"][row] = BROKEN_EVENTS[EVENTS.index(broken["event"][row])]
        broken["dwell_seconds"][row] = "-" + broken["dwell_seconds"][row]
        if nameless[row]:
            broken["user_id"][row] = ""
    return broken


def _write_if_changed(path: Path, columns: Columns) -> None:
    """Write the CSV whole or not at all; the same bytes again do not even change the file's time."""
    rows = zip(*(columns[name] for name in COLUMNS), strict=True)
    content = "\n".join([",".join(COLUMNS), *map(",".join, rows), ""]).encode()
    if path.is_file() and path.read_bytes() == content:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(f".{os.getpid()}.part")
    unfinished.write_bytes(content)
    unfinished.replace(path)


def main(arguments: list[str] | None = None) -> int:
    """The command line: one or more days from a first date on."""
    parser = argparse.ArgumentParser(
        description="Write simulated days of user-item interactions as CSV files."
    )
    parser.add_argument("--date", type=date.fromisoformat, required=True, help="first day, YYYY-MM-DD")
    parser.add_argument("--days", type=int, default=1, help="how many days (default 1)")
    parser.add_argument("--folder", type=Path, default=Path("data"), help="where to write (default data/)")
    parser.add_argument("--seed", type=int, default=7, help="another seed is another shop (default 7)")
    parser.add_argument("--users", type=int, default=4000, help="people who may visit (default 4000)")
    parser.add_argument("--items", type=int, default=800, help="items on sale (default 800)")
    parser.add_argument(
        "--drift", type=float, default=1.0, help="speed of changing tastes; 0: never (default 1)"
    )
    parser.add_argument("--bad", action="store_true", help="as logged by a broken app release")
    given = parser.parse_args(arguments)
    if given.users < 1 or given.items < 1 or given.drift < 0:
        parser.error("--users and --items must be at least 1, --drift at least 0")
    for offset in range(given.days):
        path = simulate_day(
            given.date + timedelta(days=offset),
            given.folder,
            seed=given.seed,
            users=given.users,
            items=given.items,
            drift=given.drift,
            bad=given.bad,
        )
        print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
