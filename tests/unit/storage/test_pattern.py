"""File patterns: dates, spans, versions, windows, and what is said when nothing matches."""

from __future__ import annotations

import dataclasses
import datetime
import hashlib
from pathlib import Path
from typing import Any

import fsspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemill.errors import ResolutionError, StorageError
from tidemill.storage import external
from tidemill.storage.pattern import resolve_files


def put(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)


def names(folder: Path, pattern: str, **options: Any) -> list[str]:
    found = resolve_files(pattern, base=folder, **options)
    return [Path(f.uri).relative_to(folder.resolve()).as_posix() for f in found.files]


def test_a_plain_path_is_one_file_with_size_and_sha256(tmp_path: Path) -> None:
    put(tmp_path, "data/rows.csv")
    found = resolve_files("data/rows.csv", base=tmp_path)
    (file,) = found.files
    assert Path(file.uri) == tmp_path.resolve() / "data/rows.csv"
    assert file.size == len("data/rows.csv")
    assert file.digest == hashlib.sha256(b"data/rows.csv").hexdigest()
    assert (found.span, found.version, found.pattern) == (None, None, "data/rows.csv")


def test_a_date_names_its_file_and_its_span_is_days_since_1970(tmp_path: Path) -> None:
    put(tmp_path, "2024-03-04.csv", "2024-03-05.csv", "2024-03-06.csv")
    found = resolve_files("{YYYY}-{MM}-{DD}.csv", base=tmp_path, date="2024-03-05")
    assert [Path(f.uri).name for f in found.files] == ["2024-03-05.csv"]
    assert found.span == 19787


def test_a_span_number_is_as_good_as_a_date(tmp_path: Path) -> None:
    put(tmp_path, "2024-03-05.csv", "span-19787.csv")
    assert names(tmp_path, "{YYYY}-{MM}-{DD}.csv", span=19787) == ["2024-03-05.csv"]
    assert names(tmp_path, "span-{SPAN}.csv", date="2024-03-05") == ["span-19787.csv"]


def test_without_a_date_the_newest_span_is_read(tmp_path: Path) -> None:
    put(tmp_path, "s-9/a.csv", "s-10/a.csv", "s-10/b.csv", "s-x/a.csv")
    found = resolve_files("s-{SPAN}/*.csv", base=tmp_path)
    assert [Path(f.uri).name for f in found.files] == ["a.csv", "b.csv"]
    assert found.span == 10


def test_a_window_ends_on_the_date_and_may_have_holes(tmp_path: Path) -> None:
    put(tmp_path, "2024/02/28.csv", "2024/02/29.csv", "2024/03/02.csv", "2024/03/03.csv")
    pattern = "{YYYY}/{MM}/{DD}.csv"
    assert names(tmp_path, pattern, date="2024-03-02", window=3) == ["2024/02/29.csv", "2024/03/02.csv"]
    assert names(tmp_path, pattern, window=2) == ["2024/03/02.csv", "2024/03/03.csv"]


def test_the_newest_day_of_a_window_must_exist(tmp_path: Path) -> None:
    put(tmp_path, "d/2024-02-28.csv", "d/2024-03-03.csv")
    with pytest.raises(ResolutionError) as caught:
        resolve_files("d/{YYYY}-{MM}-{DD}.csv", base=tmp_path, date="2024-03-01", window=7)
    text = str(caught.value)
    assert "d/2024-03-01.csv" in text
    assert "before it 2024-02-28" in text
    assert "after it 2024-03-03" in text


def test_of_each_span_the_highest_version_is_read(tmp_path: Path) -> None:
    put(tmp_path, "1/v2/a.csv", "1/v10/a.csv", "2/v1/a.csv", "2/v1/b.csv")
    found = resolve_files("{SPAN}/v{VERSION}/*.csv", base=tmp_path, window=2)
    assert [Path(f.uri).relative_to(tmp_path.resolve()).as_posix() for f in found.files] == [
        "1/v10/a.csv",
        "2/v1/a.csv",
        "2/v1/b.csv",
    ]
    assert (found.span, found.version) == (2, 1)


def test_a_width_is_a_number_of_digits(tmp_path: Path) -> None:
    put(tmp_path, "s-0007.csv", "s-8.csv")
    assert names(tmp_path, "s-{SPAN:4}.csv") == ["s-0007.csv"]


def test_a_repeated_placeholder_must_agree_with_itself(tmp_path: Path) -> None:
    put(tmp_path, "2024/2023-01-01.csv", "2024/2024-01-02.csv")
    assert names(tmp_path, "{YYYY}/{YYYY}-{MM}-{DD}.csv") == ["2024/2024-01-02.csv"]


def test_impossible_dates_hidden_files_and_folders_are_no_matches(tmp_path: Path) -> None:
    put(tmp_path, "2024-02-30.csv", "2024-02-28.csv", ".x.csv", "folder.csv/inside")
    assert names(tmp_path, "{YYYY}-{MM}-{DD}.csv") == ["2024-02-28.csv"]
    assert names(tmp_path, "*.csv") == ["2024-02-28.csv", "2024-02-30.csv"]


@pytest.mark.parametrize(
    ("pattern", "says"),
    [
        ("{YYYY}-{MM}.csv", "{DD}"),
        ("{YYYY}{MM}{DD}-{SPAN}.csv", "exclude each other"),
        ("v{VERSION}.csv", "{SPAN} or {YYYY}"),
        ("{SPAM}.csv", "did you mean 'SPAN'"),
        ("{YYYY.csv", "brace"),
        ("a/**/b.csv", "`**`"),
        ("data/", "name of a file"),
        ("", "name of a file"),
        ("data/../../secret.csv", "`..`"),
        ("/data/../secret.csv", "`..`"),
    ],
)
def test_malformed_patterns_say_why(tmp_path: Path, pattern: str, says: str) -> None:
    with pytest.raises(ResolutionError) as caught:
        resolve_files(pattern, base=tmp_path)
    assert says in str(caught.value)


def test_the_user_may_start_above_the_base(tmp_path: Path) -> None:
    put(tmp_path, "data/a.csv", "project/x")
    found = resolve_files("../data/a.csv", base=tmp_path / "project")
    assert Path(found.files[0].uri) == tmp_path.resolve() / "data/a.csv"


@pytest.mark.parametrize("date", ["2024-3-5", "20240305", "2024-02-30", "../../etc", "2024-W10-2", ""])
def test_a_date_is_only_a_date(tmp_path: Path, date: str) -> None:
    with pytest.raises(ResolutionError, match="YYYY-MM-DD"):
        resolve_files("{YYYY}-{MM}-{DD}.csv", base=tmp_path, date=date)


def test_a_date_needs_a_place_in_the_pattern(tmp_path: Path) -> None:
    put(tmp_path, "a.csv")
    with pytest.raises(ResolutionError, match="says nowhere"):
        resolve_files("a.csv", base=tmp_path, date="2024-01-01")
    with pytest.raises(ResolutionError, match="not both"):
        resolve_files("{SPAN}", base=tmp_path, date="2024-01-01", span=3)
    with pytest.raises(ResolutionError, match="at least 1"):
        resolve_files("{SPAN}", base=tmp_path, window=0)


def test_a_misspelt_path_gets_a_suggestion(tmp_path: Path) -> None:
    put(tmp_path, "data/taxi.csv")
    with pytest.raises(ResolutionError, match=r"did you mean 'taxi\.csv'"):
        resolve_files("data/taxy.csv", base=tmp_path)
    with pytest.raises(ResolutionError, match="did you mean 'data'"):
        resolve_files("dta/*.csv", base=tmp_path)
    with pytest.raises(ResolutionError, match=r"has taxi\.csv"):
        resolve_files("data/{YYYY}-{MM}-{DD}.csv", base=tmp_path, date="2024-01-01")


def test_remote_files_go_through_fsspec() -> None:
    memory = fsspec.filesystem("memory")
    for day in ("2024-01-01", "2024-01-02"):
        memory.pipe(f"/bucket-of-test-pattern/{day}/rows.csv", b"a\n1\n")
    pattern = "memory://bucket-of-test-pattern/{YYYY}-{MM}-{DD}/*.csv"
    try:
        found = resolve_files(pattern)
        (file,) = found.files
        assert file.uri == "memory://bucket-of-test-pattern/2024-01-02/rows.csv"
        assert file.size == 4
        assert fsspec.open(file.uri).open().read() == b"a\n1\n"
        before = file.digest
        memory.pipe("/bucket-of-test-pattern/2024-01-02/rows.csv", b"a\n12\n")
        assert resolve_files(pattern).files[0].digest != before
        with pytest.raises(ResolutionError, match="after it 2024-01-01"):
            resolve_files(pattern, date="2023-12-31")
    finally:
        memory.rm("/bucket-of-test-pattern", recursive=True)


def test_an_unknown_scheme_is_refused() -> None:
    with pytest.raises(StorageError, match="no-such-scheme://"):
        resolve_files("no-such-scheme://bucket/a.csv")


@given(st.dates(datetime.date(1900, 1, 1)), st.integers(1, 40))
def test_spans_of_dates_are_consecutive(
    tmp_path_factory: pytest.TempPathFactory, day: datetime.date, n: int
) -> None:
    folder = tmp_path_factory.mktemp("dates")
    put(folder, f"{day:%Y}".zfill(4) + f"-{day:%m-%d}.csv")
    found = resolve_files("{YYYY}-{MM}-{DD}.csv", base=folder, date=day.isoformat(), window=n)
    assert found.span == (day - datetime.date(1970, 1, 1)).days
    assert len(found.files) == 1


# -- ranges, and what was read before


@pytest.mark.parametrize(
    ("options", "spans"),
    [
        ({}, [9]),
        ({"window": 3}, [7, 9]),
        ({"skip": 1}, [7]),
        ({"skip": 2, "window": 2}, [6, 7]),
        ({"since": 6, "window": 0}, [6, 7, 9]),
        ({"since": 7, "window": 9}, [7, 9]),
        ({"since": 2, "span": 6, "window": 0}, [2, 3, 6]),
        ({"since": 1, "span": 9, "skip": 3, "window": 0}, [2, 3, 6]),
        ({"since": "1970-01-07", "window": 0}, [6, 7, 9]),
        ({"since": "1970-01-07", "date": "1970-01-08", "window": 0}, [6, 7]),
    ],
    ids=str,
)
def test_ranges_of_spans(tmp_path: Path, options: dict[str, Any], spans: list[int]) -> None:
    put(tmp_path, *(f"{span}.csv" for span in (2, 3, 6, 7, 9)))
    found = resolve_files("{SPAN}.csv", base=tmp_path, **options)
    assert [file.span for file in found.files] == spans
    assert found.span == spans[-1]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"skip": -1}, "skip is -1"),
        ({"window": 0}, "window is 0"),
        ({"since": "yesterday"}, "not a date"),
        ({"since": 10, "window": 0}, "no file matches"),
        ({"skip": 100}, "no file matches"),
        ({"span": 9, "skip": 1}, "there is no file for span 8"),
    ],
    ids=str,
)
def test_ranges_without_files(tmp_path: Path, options: dict[str, Any], says: str) -> None:
    put(tmp_path, "7.csv", "9.csv")
    with pytest.raises(ResolutionError, match=says):
        resolve_files("{SPAN}.csv", base=tmp_path, **options)
    with pytest.raises(ResolutionError, match="says nowhere where it goes"):
        resolve_files("7.csv", base=tmp_path, since=3)


def test_a_width_counts_digits(tmp_path: Path) -> None:
    put(tmp_path, "007-1.csv", "007-02.csv", "8-01.csv")
    found = resolve_files("{SPAN:3}-{VERSION:2}.csv", base=tmp_path)
    assert [Path(file.uri).name for file in found.files] == ["007-02.csv"]
    assert (found.span, found.version) == (7, 2)


def test_what_did_not_change_is_not_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(external, "_WORTH_ASKING", 1)
    monkeypatch.setattr(external, "_SETTLED", -1.0)
    put(tmp_path, "1.csv", "2.csv")
    first = resolve_files("*.csv", base=tmp_path)
    known = {file.uri: dataclasses.replace(file, digest=f"known {file.uri[-5:]}") for file in first.files}
    again = resolve_files("*.csv", base=tmp_path, known=lambda: known)
    assert [file.digest for file in again.files] == ["known 1.csv", "known 2.csv"]
    (tmp_path / "2.csv").write_text("2.csV")  # of the same size
    changed = resolve_files("*.csv", base=tmp_path, known=lambda: known)
    assert [file.digest for file in changed.files] == ["known 1.csv", hashlib.sha256(b"2.csV").hexdigest()]


def test_a_file_that_was_written_just_now_has_no_stamp(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path, "1.csv")
    assert resolve_files("1.csv", base=tmp_path).files[0].stamp == ""
    monkeypatch.setattr(external, "_SETTLED", -1.0)
    assert resolve_files("1.csv", base=tmp_path).files[0].stamp != ""
