"""The simulated shop: the same day is the same file, and a bad day is bad in the ways it says."""

from __future__ import annotations

import csv
from collections import Counter
from datetime import date, datetime, timedelta
from pathlib import Path

import pytest
from simulate import BROKEN_EVENTS, COLUMNS, EVENTS, main, simulate_day

DAY = date(2026, 3, 4)
SMALL = {"users": 400, "items": 120}


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_day_does_not_depend_on_the_days_written_before(tmp_path: Path) -> None:
    alone = simulate_day(DAY, tmp_path / "alone", **SMALL).read_bytes()
    for offset in (-2, 1, 0):
        last = simulate_day(DAY + timedelta(days=offset), tmp_path / "many", **SMALL)
    assert last.name == "interactions-2026-03-04.csv"
    assert last.read_bytes() == alone


def test_the_same_content_leaves_the_file_untouched_and_other_content_replaces_it(tmp_path: Path) -> None:
    path = simulate_day(DAY, tmp_path, **SMALL)
    before = path.stat()
    simulate_day(DAY, tmp_path, **SMALL)
    assert (path.stat().st_mtime_ns, path.stat().st_ino) == (before.st_mtime_ns, before.st_ino)
    good = path.read_bytes()
    simulate_day(DAY, tmp_path, seed=8, **SMALL)
    assert path.read_bytes() != good
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_rows_are_in_time_order_within_the_day_and_well_formed(tmp_path: Path) -> None:
    found = rows(simulate_day(DAY, tmp_path, **SMALL))
    moments = [datetime.fromisoformat(row["timestamp"]) for row in found]
    assert list(found[0]) == list(COLUMNS)
    assert moments == sorted(moments)
    assert {moment.date() for moment in moments} == {DAY}
    assert {row["event"] for row in found} == set(EVENTS)
    assert all(row["user_id"] and float(row["dwell_seconds"]) > 0 for row in found)
    views, clicks, purchases = (sum(row["event"] == event for row in found) for event in EVENTS)
    assert views > clicks > purchases


def test_popularity_has_a_long_tail(tmp_path: Path) -> None:
    taken = Counter(row["item_id"] for row in rows(simulate_day(DAY, tmp_path, **SMALL)))
    tenth = sum(count for _, count in taken.most_common(SMALL["items"] // 10))
    assert tenth > 0.3 * taken.total()
    assert len(taken) > 0.8 * SMALL["items"]


def test_items_come_and_go(tmp_path: Path) -> None:
    def shop(day: date) -> set[str]:
        return {row["item_id"] for row in rows(simulate_day(day, tmp_path, users=2000, items=40))}

    today, next_week = shop(DAY), shop(DAY + timedelta(days=7))
    assert max(today) < max(next_week)
    assert min(today) < min(next_week)
    assert today & next_week


def test_without_drift_tastes_stay_and_with_drift_they_turn(tmp_path: Path) -> None:
    def overlap(drift: float) -> float:
        """Share of a user's items of one day that the same user takes three weeks later, too."""
        pairs = []
        for offset in (0, 21):
            path = simulate_day(DAY + timedelta(days=offset), tmp_path, users=1500, items=400, drift=drift)
            pairs.append({(row["user_id"], row["item_id"]) for row in rows(path)})
        return len(pairs[0] & pairs[1]) / len(pairs[0])

    assert overlap(0.0) > 1.5 * overlap(1.0)


def test_a_bad_day_is_the_good_day_logged_badly(tmp_path: Path) -> None:
    good = rows(simulate_day(DAY, tmp_path, **SMALL))
    bad = rows(simulate_day(DAY, tmp_path, bad=True, **SMALL))
    assert 0.45 < len(bad) / len(good) < 0.55
    assert 0.2 < sum(not row["user_id"] for row in bad) / len(bad) < 0.45
    assert {row["event"] for row in bad} == {*EVENTS, *BROKEN_EVENTS}
    phones = [row for row in bad if row["device"] != "web"]
    assert all(float(row["dwell_seconds"]) < 0 and row["event"] in BROKEN_EVENTS for row in phones)
    web = [row for row in bad if row["device"] == "web"]
    assert web
    assert all(row in good for row in web[:20])


@pytest.mark.parametrize("wrong", [{"users": 0}, {"items": 0}, {"drift": -1.0}])
def test_impossible_shops_are_refused(tmp_path: Path, wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="users >= 1"):
        simulate_day(DAY, tmp_path, **wrong)  # type: ignore[arg-type]  # any of three keywords


def test_the_command_line_writes_consecutive_days(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["--date", "2026-02-28", "--days", "2", "--folder", str(tmp_path), "--users", "50"]
    assert main(arguments) == 0
    written = [Path(line).name for line in capsys.readouterr().out.splitlines()]
    assert written == ["interactions-2026-02-28.csv", "interactions-2026-03-01.csv"]
    with pytest.raises(SystemExit, match="2"):
        main([*arguments, "--items", "0"])
