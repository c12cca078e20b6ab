"""Sources that are no local files: functions of users, memory, and a real HTTP server."""

from __future__ import annotations

import functools
import gzip
import http.server
import io
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fsspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.errors import ResolutionError, StorageError
from tidemill.types.source import Csv, Custom, FileSet, Jsonl, Parquet, source_of


def numbers(count: int, files: FileSet | None = None) -> Iterator[pa.Table]:
    for at in range(0, count, 10):
        yield pa.table(
            {
                "n": range(at, min(at + 10, count)),
                "of": [len(files.files) if files else 0] * min(10, count - at),
            }
        )


def by_batch() -> Iterator[pa.RecordBatch]:
    yield from pa.table({"n": [1, 2], "s": pa.array(["x", "y"]).dictionary_encode()}).to_batches()
    yield from pa.table({"s": ["z"], "n": pa.array([3], pa.int8())}).to_batches()


def two_kinds() -> Iterator[pa.Table]:
    yield pa.table({"n": [1]})
    yield pa.table({"n": ["many"]})


def other_columns() -> list[pa.Table]:
    return [pa.table({"n": [1]}), pa.table({"m": [1]})]


def no_tables() -> list[dict[str, int]]:
    return [{"n": 1}]


def nothing() -> list[pa.Table]:
    return []


def test_a_function_of_the_user(reading: Any) -> None:
    assert reading.table(Custom(numbers, arguments={"count": 25}))["n"].to_pylist() == list(range(25))
    with_files = Custom(numbers, files=reading.write("a.x", "?"), arguments={"count": 3})
    examples = reading.examples(with_files)
    assert reading.rows(examples)["of"].to_pylist() == [1, 1, 1]
    assert examples.fingerprint
    assert reading.table(Custom(by_batch)).to_pydict() == {"n": [1, 2, 3], "s": ["x", "y", "z"]}
    cut = reading.examples(Custom(numbers, arguments={"count": 20}), splits={"a": 3, "b": 1}, order_by="n")
    assert reading.rows(cut, "b")["n"].to_pylist() == list(range(15, 20))


@pytest.mark.parametrize(
    ("read", "says"),
    [
        (two_kinds, "column 'n' cannot be read as int64"),
        (other_columns, "lacks 'n' and adds 'm'"),
        (no_tables, "gave dict, not a pyarrow table"),
        (nothing, "gave not one table"),
        (numbers, "missing 1 required positional argument"),
        (len, "takes exactly one argument"),
    ],
)
def test_a_function_that_gives_something_else(reading: Any, read: Any, says: str) -> None:
    assert says in reading.refusal(Custom(read))


def test_input_splits_stay_as_they_are(reading: Any) -> None:
    reading.write("train-1.csv", "id,x\n1,2\n2,3\n")
    reading.write("eval-1.csv", "x,id\n4.5,3\n")
    source = Csv({"train": reading.files("train-{SPAN}.csv"), "eval": reading.files("eval-{SPAN}.csv")})
    examples = reading.examples(source)
    assert (examples.splits, examples.num_rows, examples.span) == (["train", "eval"], 3, 1)
    assert reading.rows(examples, "train").to_pydict() == {"id": [1, 2], "x": [2.0, 3.0]}
    assert reading.rows(examples, "eval").to_pydict() == {"id": [3], "x": [4.5]}
    assert "nothing can be split further" in reading.refusal(source, splits={"a": 1})
    assert "names no input split" in reading.refusal(Csv({}))
    reading.write("eval-2.csv", "x,id\n4.5,3\n")
    late = Csv({"train": reading.files("train-{SPAN}.csv"), "eval": reading.files("eval-{SPAN}.csv")})
    assert "different spans: train 1, eval 2" in reading.refusal(late)


def test_input_splits_are_widened_together(reading: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from tidemill.data import csv_source, jsonl_source

    monkeypatch.setattr(csv_source, "BLOCK_BYTES", 64)
    monkeypatch.setattr(jsonl_source, "BLOCK_BYTES", 64)
    reading.write("a.csv", "x\n" + "1\n" * 100)
    reading.write("b.csv", "x\n" + "1\n" * 100 + "2.5\n")
    reading.write("a.jsonl", '{"x": 1}\n' * 30)
    reading.write("b.jsonl", '{"x": 1}\n' * 30 + '{"x": 2.5, "y": [1]}\n')
    for kind in (Csv, Jsonl):
        name = kind.kind
        examples = reading.examples(kind({"a": reading.files(f"a.{name}"), "b": reading.files(f"b.{name}")}))
        assert reading.rows(examples, "a").schema == reading.rows(examples, "b").schema
        assert str(reading.rows(examples, "a").schema.field("x").type) == "double"


def test_every_kind_comes_back_from_its_plain_form(reading: Any) -> None:
    source = Csv(reading.write("a.csv", "a\n1\n"), delimiter=";")
    assert dict(source) == {"kind": "csv", "files": source.files, "delimiter": ";"}
    assert source_of(dict(source)) == source
    for plain, says in (
        ({"kind": "cvs"}, "did you mean 'csv'"),
        ({"kind": "csv", "file": 1}, "did you mean 'files'"),
        ({"kind": "csv"}, "not complete"),
    ):
        assert says in reading.refusal(plain)


# -- remote


def parquet() -> bytes:
    stream = io.BytesIO()
    pq.write_table(pa.table({"a": range(1000), "b": [str(at) for at in range(1000)]}), stream)
    return stream.getvalue()


FILES = {
    "a.parquet": parquet(), "a.csv": b"a,b\n1,x\n2,y\n", "a.csv.gz": gzip.compress(b"a,b\n1,x\n2,y\n"),
    "a.jsonl": b'{"a": 1, "b": "x"}\n',
}  # fmt: skip


class _Ranged(http.server.SimpleHTTPRequestHandler):
    """Serves files with ranges and entity tags, as object stores do."""

    def send_head(self) -> Any:
        content = Path(self.translate_path(self.path))
        if not content.is_file():
            return super().send_head()
        data = content.read_bytes()
        first, last, status = 0, len(data) - 1, 200
        if wanted := self.headers.get("Range"):
            low, _, high = wanted.removeprefix("bytes=").partition("-")
            first, last, status = int(low), min(int(high or last), last), 206
        self.send_response(status)
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{len(data)}-{sum(data)}"')
        self.send_header("Content-Length", str(last - first + 1))
        if status == 206:
            self.send_header("Content-Range", f"bytes {first}-{last}/{len(data)}")
        self.end_headers()
        return io.BytesIO(data[first : last + 1])

    def log_message(self, *_: Any) -> None:
        """Nothing: the test's output is for failures."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "www"
    folder.mkdir()
    for name, content in FILES.items():
        (folder / name).write_bytes(content)
    handler = functools.partial(_Ranged, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


def test_files_of_an_http_server(reading: Any, server: str, tmp_path: Path) -> None:
    assert reading.table(Parquet(reading.files(f"{server}/a.parquet"))).num_rows == 1000
    for name in ("a.csv", "a.csv.gz"):
        assert reading.table(reading.files(f"{server}/{name}")).to_pydict() == {"a": [1, 2], "b": ["x", "y"]}
    assert reading.table(reading.files(f"{server}/a.jsonl")).to_pydict() == {"a": [1], "b": ["x"]}
    with pytest.raises(ResolutionError):
        reading.files(f"{server}/none.csv")
    before = reading.files(f"{server}/a.csv").files[0]
    (tmp_path / "www" / "a.csv").write_bytes(b"a,b\n1,x\n3,y\n")
    after = reading.files(f"{server}/a.csv").files[0]
    assert (before.size, before.digest != after.digest) == (after.size, True)


def test_files_in_memory_by_span(reading: Any) -> None:
    memory = fsspec.filesystem("memory")
    for day in ("2024-03-04", "2024-03-05"):
        memory.pipe(f"/bucket-of-sources/{day}/a.jsonl", f'{{"day": "{day}"}}'.encode())
    try:
        found = reading.files("memory://bucket-of-sources/{YYYY}-{MM}-{DD}/*.jsonl", window=2)
        examples = reading.examples(found)
        assert (examples.num_rows, examples.span) == (2, 19787)
        assert [file.span for file in found.files] == [19786, 19787]
    finally:
        memory.rm("/bucket-of-sources", recursive=True)


def test_a_scheme_that_nobody_knows(reading: Any) -> None:
    with pytest.raises(StorageError, match="no support for nosuch:// files"):
        reading.files("nosuch://bucket/a.csv")
