"""Rows that cannot be read: put aside with file, line and reason, counted, and never silently lost."""

from __future__ import annotations

import gzip
import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tidemill.data import csv_source, jsonl_source
from tidemill.types.source import Csv, Jsonl

ROWS = 'id,fare,name\n1,2.5,a\n2,free,b\n3,3.5\n"4\n",1,2,3\n5,4.5,"c\nd"\n6,1e3,e\n'


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", 64)


def test_by_default_the_first_bad_row_is_an_error(reading: Any) -> None:
    text = reading.refusal(reading.write("a.csv", "id,fare\n1,2\n2\n"))
    assert "the row has 1 values, the header has 2 columns" in text
    assert "a.csv:3" in text


def test_bad_rows_of_csv_are_put_aside_with_line_and_reason(reading: Any) -> None:
    examples = reading.examples(reading.write("a.csv", ROWS), max_bad_rows=3)
    assert reading.rows(examples).to_pylist() == [
        {"id": 1, "fare": 2.5, "name": "a"},
        {"id": 5, "fare": 4.5, "name": "c\nd"},
        {"id": 6, "fare": 1000.0, "name": "e"},
    ]
    assert reading.quarantine(examples) == [
        {
            "file": "a.csv", "line": 3, "reason": "column 'fare' has 'free', which is not float",
            "row": "2,free,b",
        },
        {
            "file": "a.csv", "line": 4, "reason": "the row has 2 values, the header has 3 columns",
            "row": "3,3.5",
        },
        {
            "file": "a.csv", "line": 5, "reason": "the row has 4 values, the header has 3 columns",
            "row": '"4\n",1,2,3',
        },
    ]  # fmt: skip
    assert (examples.num_rows, examples.num_bad_rows) == (3, 3)


def test_one_bad_row_more_than_allowed_is_an_error(reading: Any) -> None:
    text = reading.refusal(reading.write("a.csv", ROWS), max_bad_rows=2)
    assert "more than max_bad_rows=2 rows cannot be read" in text
    assert "a.csv:3: column 'fare' has 'free'" in text


def test_without_bad_rows_there_is_no_quarantine(reading: Any) -> None:
    examples = reading.examples(reading.write("a.csv", "id\n1\n"), max_bad_rows=5)
    assert (examples.num_rows, examples.num_bad_rows) == (1, 0)
    assert [path.name for path in examples.path.iterdir()] == ["Split-all"]


def test_what_is_put_aside_does_not_name_the_place_of_the_files(reading: Any) -> None:
    (reading.base / "one" / "x").mkdir(parents=True)
    (reading.base / "two" / "x").mkdir(parents=True)
    kept = []
    for place in ("one", "two"):
        for name in ("a.csv", "x/b.csv"):
            (reading.base / place / name).write_text("id\n1\n2,3\n")
        source = reading.files(f"{place}/*.csv")
        source = Csv({"p": source, "q": reading.files(f"{place}/x/*.csv")})
        examples = reading.examples(source, max_bad_rows=2)
        assert [row["file"] for row in reading.quarantine(examples)] == ["a.csv", "x/b.csv"]
        kept.append((examples.path / "Quarantine" / "part-00000.parquet").read_bytes())
    assert kept[0] == kept[1]


@pytest.mark.usefixtures("small_blocks")
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(["good", "ragged", "flip", "utf8", "quoted"]), min_size=1, max_size=60))
def test_every_row_is_kept_or_put_aside_wherever_blocks_end(
    tmp_path_factory: pytest.TempPathFactory, reading: Any, kinds: list[str]
) -> None:
    lines = {
        "good": b"%d,1.5,ok", "ragged": b"%d,1", "flip": b"%d,much,ok", "utf8": b"%d,1,\xff",
        "quoted": b'%d,2,"two\nlines"',
    }  # fmt: skip
    reading.base = tmp_path_factory.mktemp("rows")
    body = b"".join(lines[kind] % at + b"\n" for at, kind in enumerate(kinds))
    source = reading.write("a.csv", b"id,fare,name\n1000,1.5,first\n1001,1.5,x\n" + body)
    bad = [at for at, kind in enumerate(kinds) if kind in ("ragged", "flip", "utf8")]
    examples = reading.examples(source, max_bad_rows=100)
    kept = [at for at in range(len(kinds)) if at not in bad]
    assert reading.rows(examples)["id"].to_pylist() == [1000, 1001, *kept]
    aside = reading.quarantine(examples) if bad else []
    assert [int(row["row"].partition(",")[0]) for row in aside] == bad
    lines_before = [4 + at + sum(kind == "quoted" for kind in kinds[:at]) for at in bad]
    assert [row["line"] for row in aside] == lines_before


@pytest.mark.usefixtures("small_blocks")
def test_a_column_is_still_widened_when_rows_are_put_aside(reading: Any) -> None:
    rows = "".join(f"{at}\n" for at in range(50))
    source = reading.write("a.csv", f"n\n{rows}1.5\nmany\n2.5\n")
    examples = reading.examples(source, max_bad_rows=1)
    assert reading.rows(examples)["n"].to_pylist() == [*map(float, range(50)), 1.5, 2.5]
    assert [row["line"] for row in reading.quarantine(examples)] == [53]


def test_order_by_reads_twice_and_counts_once(reading: Any) -> None:
    source = reading.write("a.csv", "t\n1\n2\nx\n3\n4\n")
    examples = reading.examples(source, max_bad_rows=1, order_by="t", splits={"train": 1, "eval": 1})
    assert reading.rows(examples, "train")["t"].to_pylist() == [1, 2]
    assert examples.num_bad_rows == 1


def test_what_no_row_can_be_blamed_for_is_an_error_whatever_is_allowed(reading: Any) -> None:
    body = b"a,b\n" + b"".join(b"%d,%d\n" % (at, at * 7919 % 10007) for at in range(5000))
    cut = reading.write("cut.csv.gz", gzip.compress(body)[:-2000])
    assert "cut off or damaged" in reading.refusal(cut, max_bad_rows=10_000)
    open_quote = reading.write("quote.csv", 'a,b\n1,2\n3,"4\n' + "5,6\n" * 20)
    assert "never closed" in reading.refusal(open_quote, max_bad_rows=10_000)
    nothing = reading.write("none.csv", "a,b\n1\n2\n")
    assert "not one row that can be read" in reading.refusal(nothing, max_bad_rows=10)
    assert "at least 0" in reading.refusal(nothing, max_bad_rows=-1)


@pytest.mark.parametrize("keep", [0.3, 0.9])
def test_a_compressed_file_that_is_cut_off_is_named(reading: Any, keep: float) -> None:
    lines = [b"%d,%d\n" % (at, at * 7919 % 10007) for at in range(30_000)]
    whole = gzip.compress(b"a,b\n" + b"".join(lines))
    text = reading.refusal(reading.write("a.csv.gz", whole[: int(len(whole) * keep)]))
    assert "the compressed file is cut off or damaged" in text
    assert "a.csv.gz" in text


def test_bytes_that_are_not_utf8_are_named_with_their_line(reading: Any) -> None:
    source = reading.write("a.csv", b"a,b\n1,x\n2,\xe4\n3,y\n")
    text = reading.refusal(source)
    assert "byte 0xe4 is not UTF-8" in text
    assert "a.csv:3" in text
    examples = reading.examples(source, max_bad_rows=1)
    assert reading.rows(examples)["a"].to_pylist() == [1, 3]
    assert "0xe4" in reading.quarantine(examples)[0]["reason"]
    assert "UTF-8" in reading.refusal(reading.write("u.csv", "a,b\n1,2\n".encode("utf-16")))


def test_bad_lines_of_json_are_named_or_put_aside(reading: Any) -> None:
    lines = [
        '{"id": 1, "tags": ["x"]}',
        "{",
        "[1]",
        '{"id": "two", "tags": []}',
        "",
        '{"id": 3}',
        '{"id": 4}',
    ]
    source = reading.write("a.jsonl", "\n".join(lines).encode() + b'\n{"id": 5, "s": "\xff"}\n')
    text = reading.refusal(source)
    assert "not JSON" in text
    assert "a.jsonl:2" in text
    examples = reading.examples(source, max_bad_rows=4)
    assert reading.rows(examples)["id"].to_pylist() == [1, 3, 4]
    assert [(row["line"], row["reason"][:20]) for row in reading.quarantine(examples)] == [
        (2, "not JSON: Expecting "), (3, "a list, but not an o"), (4, "column 'id' has \"two"),
        (8, "byte 0xff is not UTF"),
    ]  # fmt: skip
    assert (examples.num_rows, examples.num_bad_rows) == (3, 4)


@pytest.mark.usefixtures("small_blocks")
def test_bad_lines_of_json_in_later_blocks(reading: Any) -> None:
    lines = [f'{{"id": {at}}}' for at in range(100)]
    at = random.Random(1).sample(range(10, 100), 7)
    for index in at:
        lines[index] = '{"id": "no"}'
    source = Jsonl(reading.write("rows.txt", "\n".join(lines)))
    examples = reading.examples(source, max_bad_rows=7)
    assert [row["line"] for row in reading.quarantine(examples)] == sorted(index + 1 for index in at)
    assert examples.num_rows == 93
    assert "more than max_bad_rows=6" in reading.refusal(source, max_bad_rows=6)
