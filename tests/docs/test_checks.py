"""The checks on documents find the lies in a bad one and believe a good one."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import click
import pytest

BAD = """\
# A title: with `code`!

See [this](missing.md), [that](#nowhere) and [here](#a-title-with-code), not `[x](y)`.
Read `src/tidemill/gone.py` and `docs/NNNN-x.md`; run `make nothing`, `make test` or `tidemill fly`.

```console
$ tidemill run --loud pipeline.py && cd x
make output
$ make -j2 PYTHON=python3 demo sing
$ tidemill runs show --last
$ python tests/gone.py   # a comment: tests/never.py
```

```python
from tidemill import Pipeline, Nonsense
```

```python
a = = 1
```

```python test
a = 1
```

Between.

```python test
assert a == 1
```
"""


@click.group("tidemill", help="Test.")
def sample_cli() -> None: ...


@sample_cli.command("run", help="Run.")
@click.argument("file")
@click.option("--quiet/--noisy")
def sample_run(file: str, quiet: bool) -> None: ...


@sample_cli.group("runs")
def sample_runs() -> None: ...


@sample_runs.command("show", help="Show.")
@click.option("--last", help="The last.")
def sample_show(last: str) -> None: ...


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "bad.md").write_text(BAD)
    (tmp_path / "Makefile").write_text("test: setup\n\nBIN := x\ndemo:\n")
    return tmp_path


def test_links(documents: ModuleType, folder: Path) -> None:
    assert list(documents.missing_links(documents.read(folder / "bad.md"), folder)) == [
        "bad.md:3: the link missing.md leads nowhere",
        "bad.md:3: this document has no heading for #nowhere",
    ]


def test_paths(documents: ModuleType, folder: Path) -> None:
    assert list(documents.missing_paths(documents.read(folder / "bad.md"), folder)) == [
        "bad.md:4: src/tidemill/gone.py does not exist",
        "bad.md:11: tests/gone.py does not exist",
    ]


def test_make_targets(documents: ModuleType, folder: Path) -> None:
    assert list(documents.missing_targets(documents.read(folder / "bad.md"), folder)) == [
        "bad.md:9: make has no target sing",
        "bad.md:4: make has no target nothing",
    ]


def test_verbs_and_options(documents: ModuleType, folder: Path) -> None:
    assert list(documents.missing_verbs(documents.read(folder / "bad.md"), folder, sample_cli)) == [
        "bad.md:7: tidemill run --loud pipeline.py && cd x: run has no option --loud",
        "bad.md:4: tidemill fly: tidemill has no command fly",
    ]


def test_python_that_is_wrong(documents: ModuleType, folder: Path) -> None:
    assert list(documents.wrong_python(documents.read(folder / "bad.md"), folder)) == [
        "bad.md:14: tidemill has no Nonsense",
        "bad.md:18: invalid syntax",
    ]


def test_marked_blocks_are_one_program(documents: ModuleType, folder: Path) -> None:
    assert documents.tested_python(documents.read(folder / "bad.md")) == "a = 1\n\nassert a == 1\n"


def test_an_open_fence(documents: ModuleType, tmp_path: Path) -> None:
    (tmp_path / "open.md").write_text("text\n```python\nx\n")
    with pytest.raises(ValueError, match=r"open\.md:2: the block is never closed"):
        documents.read(tmp_path / "open.md")


def test_missing_help(documents: ModuleType) -> None:
    assert list(documents.undocumented(sample_cli, "tidemill")) == [
        "tidemill run --quiet has no help",
        "tidemill runs has no help",
    ]
