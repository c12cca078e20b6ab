"""The engine gives one answer wherever it runs, counts every row, and says what went wrong."""

from __future__ import annotations

import importlib.util
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pytest

from tidemill.data.dataset import Dataset
from tidemill.data.engine import BACKENDS, Analyzer, Backend, Progress, analyze, open_backend
from tidemill.data.engine.blocks import BLOCK_GROUPS, Block, plan
from tidemill.data.engine.work import Work
from tidemill.data.parquet import SplitWriter, split_folder
from tidemill.errors import DataError, TransientError
from tidemill.types.standard import Examples


class Longest(Analyzer[int, int]):
    def empty(self) -> int:
        return 0

    def add(self, state: int, table: pa.Table) -> int:
        return max(state, pc.max(pc.utf8_length(table["name"])).as_py() or 0)

    def merge(self, state: int, later: int) -> int:
        return max(state, later)


@dataclass(frozen=True)
class Shape(Analyzer[list[object], list[object]]):
    """Writes down in which shape it was called."""

    columns: Sequence[str] | None = ("at",)

    def empty(self) -> list[object]:
        return []

    def add(self, state: list[object], table: pa.Table) -> list[object]:
        return [*state, table["at"][0].as_py()]

    def merge(self, state: list[object], later: list[object]) -> list[object]:
        return [*state, later]


GROUP = 10


def write(folder: Path, groups: int, start: int = 0) -> Path:
    rows = range(start, start + groups * GROUP - 3)
    table = pa.table({"at": list(rows), "name": ["n" * (at % 17) for at in rows]})
    with SplitWriter(folder, table.schema, group_rows=GROUP) as writer:
        writer.write(table)
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    empty = pa.schema([("at", pa.int64()), ("name", pa.string())])
    with SplitWriter(tmp_path / "none", empty):
        pass
    return [write(tmp_path / "a", 9), tmp_path / "none", write(tmp_path / "b", 2, start=1000)]


def backend(name: str) -> pytest.ParameterSet | str:
    if name == "ray":
        absent = importlib.util.find_spec("ray") is None
        return pytest.param(name, marks=pytest.mark.skipif(absent, reason="ray is not installed"))
    return name


@pytest.mark.parametrize("name", [backend(name) for name in BACKENDS])
def test_every_backend_calls_in_the_same_shape(folders: list[Path], name: str) -> None:
    with open_backend(name) as opened:
        found = analyze(Shape(), folders, backend=opened)
        assert analyze(Longest(), folders, backend=opened) == 16
    first = [[0, 10, 20, 30], [40, 50, 60, 70], [80]]
    assert BLOCK_GROUPS == 4
    assert found == [first, [], [[1000, 1010]]]


def test_an_analyzer_of_ones_own_takes_examples(tmp_path: Path) -> None:
    write(split_folder(tmp_path, "train"), 3)
    examples = Examples(path=tmp_path)
    examples.splits = ["train"]
    assert analyze(Longest(), Dataset.of([examples], ["train"])) == 16


def test_progress_ends_at_all_rows(folders: list[Path]) -> None:
    seen: list[Progress] = []
    analyze(Longest(), folders, progress=seen.append)
    assert [p.rows for p in seen] == [40, 80, 87, 104]
    assert {p.of_rows for p in seen} == {104}


def test_an_unknown_column_is_said_by_every_backend(folders: list[Path]) -> None:
    for name in ("inline", "pool", "beam"):
        with pytest.raises(DataError, match="no column 'att'") as caught:
            analyze(Shape(columns=["att"]), folders, backend=name)
        assert "did you mean 'at'" in caught.value.hint
        assert caught.value.where.endswith("part-00000.parquet")


class Shuffled:
    """A backend that answers late, twice, and in any order; or loses what it should not."""

    def __init__(self, lose: int | None = None) -> None:
        self.lose = lose

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        for block in [*reversed(blocks), *blocks[:2]]:
            if block.index != self.lose:
                yield work(block)


def test_a_backend_that_shuffles_and_repeats_changes_nothing(folders: list[Path]) -> None:
    assert analyze(Shape(), folders, backend=Shuffled()) == analyze(Shape(), folders)


def test_a_lost_block_is_an_error(folders: list[Path]) -> None:
    with pytest.raises(DataError, match="without the result of block 1"):
        analyze(Shape(), folders, backend=Shuffled(lose=1))


class Miscounting:
    """A backend whose blocks promise other rows than the files hold."""

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        for block in blocks:
            yield work(
                Block(index=block.index, path=block.path, first=block.first, groups=1, rows=block.rows)
            )


def test_rows_are_held_against_the_footers(folders: list[Path]) -> None:
    with pytest.raises(DataError, match="the footers say 40 rows, but 10 were read"):
        analyze(Longest(), folders, backend=Miscounting())


def test_a_broken_file_is_named_by_every_backend(folders: list[Path]) -> None:
    file = folders[0] / "part-00000.parquet"
    content = bytearray(file.read_bytes())
    content[40:80] = bytes(40)
    file.write_bytes(content)
    for name in ("inline", "pool"):
        with pytest.raises(DataError, match="not readable as Parquet") as caught:
            analyze(Longest(), folders, backend=name)
        assert str(file) in caught.value.where


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("pol", (), "no backend 'pol'"),
        ("pool", ("--worker=2",), "no option '--worker=2'"),
        ("pool", ("--workers=0",), "not a number of processes"),
        ("inline", ("--workers=2",), "no option"),
        ("ray", ("address",), "no option"),
    ],
)
def test_a_wrong_choice_is_said(name: str, options: Sequence[str], message: str) -> None:
    with pytest.raises(DataError, match=message), open_backend(name, options):
        pass


class Dying(Longest):
    def add(self, state: int, table: pa.Table) -> int:
        os.kill(os.getpid(), signal.SIGKILL)
        return state


def test_a_killed_worker_is_said(folders: list[Path]) -> None:
    with open_backend("pool", ["--workers=1"]) as opened:
        with pytest.raises(TransientError, match="a worker of the pool was killed"):
            analyze(Dying(), folders, backend=opened)
        assert analyze(Longest(), folders, backend=opened) == 16  # by new workers


ORPHAN = """
import os
from tidemill.data.engine.backends.pool import _executor
if __name__ == "__main__":
    with _executor(1) as workers:
        print(workers.submit(os.getpid).result(), flush=True)
        input()
"""


def test_workers_end_with_a_parent_that_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "orphan.py"
    script.write_text(ORPHAN)
    with subprocess.Popen(
        [sys.executable, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        worker = os.pidfd_open(int(parent.stdout.readline()))
        parent.kill()
        ended, _, _ = select.select([worker], [], [], 60)
    os.close(worker)
    assert ended


class Mistaken(Longest):
    def add(self, state: int, table: pa.Table) -> int:
        raise LookupError("mine")


def test_a_mistake_in_an_analyzer_is_raised_as_it_is(folders: list[Path]) -> None:
    for name in ("inline", "pool"):
        with pytest.raises(LookupError, match="mine"):
            analyze(Mistaken(), folders, backend=name)


def test_an_open_pool_is_a_backend_for_several_analyses(folders: list[Path]) -> None:
    opened: Backend
    with open_backend("pool", ["--workers=2"]) as opened:
        for _ in range(2):
            assert analyze(Shape(), folders, backend=opened) == analyze(Shape(), folders)


def test_blocks_know_their_rows(folders: list[Path]) -> None:
    files = plan(folders)
    assert [[block.rows for block in file.blocks] for file in files] == [[40, 40, 7], [], [17]]
    assert [block.index for file in files for block in file.blocks] == [0, 1, 2, 3]
