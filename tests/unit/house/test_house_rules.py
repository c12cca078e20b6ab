"""Each rule of the house finds the violation it is for, and leaves its innocent twin alone."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

FUTURE = "from __future__ import annotations\n"
HEAD = f'"""Why."""\n\n{FUTURE}\n'


def rules_broken(house: ModuleType, name: str, text: str) -> list[tuple[int, str]]:
    found = [*house.check_text(name, text)]
    if name.endswith(".py"):
        found += house.check_python(name, text)
    return sorted((v.line, v.rule) for v in found)


BROKEN = [
    ("long file", "src/tidemill/ir/x.py", HEAD + "A = 1\n" * 600, (1, "file-size")),
    ("long function", "tests/x.py", "def f():\n" + "    a = 1\n" * 60, (1, "function-size")),
    ("long async", "bench/x.py", "class C:\n  async def f():\n" + "    a = 1\n" * 60, (2, "function-size")),
    ("vague module", "examples/utils.py", "", (1, "vague-name")),
    ("vague folder", "src/tidemill/common/model.py", "", (1, "vague-name")),
    ("private vague module", "src/tidemill/data/_helpers.py", "", (1, "vague-name")),
    ("no future", "src/tidemill/ir/x.py", '"""Why."""\nA = 1\n', (1, "future")),
    ("no module docstring", "src/tidemill/ir/x.py", FUTURE, (1, "docstring")),
    ("no class docstring", "src/tidemill/ir/x.py", HEAD + "class C: ...\n", (5, "docstring")),
    ("no function docstring", "src/tidemill/ir/x.py", HEAD + "def f(): ...\n", (5, "docstring")),
    (
        "no method docstring",
        "src/tidemill/ir/x.py",
        HEAD + 'class C:\n  "x"\n  def f(): ...\n',
        (7, "docstring"),
    ),
    ("in a branch", "src/tidemill/ir/x.py", HEAD + "if A:\n  def f(): ...\n", (6, "docstring")),
    ("bare ignore", "tests/x.py", "a = 1  # type: ignore\n", (1, "bare-ignore")),
    ("ignore without reason", "tests/x.py", "a = 1  # type: ignore[misc]\n", (1, "bare-ignore")),
    ("sleep", "tests/x.py", "import time\ntime.sleep(1)\n", (2, "sleep")),
    ("imported sleep", "tests/x.py", "from time import sleep\n", (1, "sleep")),
    ("print", "src/tidemill/runtime/x.py", HEAD + "print(1)\n", (5, "print")),
    ("print in a declaration", "src/tidemill/components/a/component.py", HEAD + "print(1)\n", (5, "print")),
    ("print in a runner", "src/tidemill/runners/local/pool.py", HEAD + "print(1)\n", (5, "print")),
    ("star import", "tests/x.py", "from os import *\n", (1, "star-import")),
    ("relative import", "tests/x.py", "from .x import y\n", (1, "relative-import")),
    (
        "polars",
        "src/tidemill/components/a/executor.py",
        HEAD + "import polars as pl\n",
        (5, "strange-import"),
    ),
    ("lazy polars", "src/tidemill/ir/x.py", HEAD + "def _f():\n  import polars.io\n", (6, "strange-import")),
    ("dynamic polars", "src/tidemill/ir/x.py", HEAD + "m = import_module('polars')\n", (5, "strange-import")),
    ("pyarrow", "src/tidemill/storage/x.py", HEAD + "from pyarrow import fs\n", (5, "strange-import")),
    (
        "numpy in a declaration",
        "src/tidemill/components/a/component.py",
        HEAD + "import numpy\n",
        (5, "strange-import"),
    ),
    ("sqlite3", "src/tidemill/metadata/store.py", HEAD + "import sqlite3\n", (5, "strange-import")),
    ("rich", "src/tidemill/runners/local/pool.py", HEAD + "import rich.live\n", (5, "strange-import")),
    ("click", "src/tidemill/runtime/__main__.py", HEAD + "import click\n", (5, "strange-import")),
    ("fsspec", "src/tidemill/runtime/resolve.py", HEAD + "import fsspec\n", (5, "strange-import")),
    ("sklearn", "src/tidemill/data/x.py", HEAD + "from sklearn.base import clone\n", (5, "strange-import")),
    ("home of one machine", "docs/x.md", "see /" + "home/ann/data\n", (1, "machine-path")),
    ("file URI", "docs/x.md", "uri: file:///" + "tmp/x\n", (1, "machine-path")),
    ("quoted", "Makefile", 'A = "/' + 'root"\n', (1, "machine-path")),
    ("registry", "pyproject.toml", "index = https://" + "pypi" + ".org/simple\n", (1, "registry-host")),
    ("unfinished", "README.md", "a\n" + "TO" + "DO: b\n", (2, "unfinished")),
    ("syntax", "tests/x.py", "a = = 1\n", (1, "syntax")),
]


@pytest.mark.parametrize(("name", "text", "expected"), [b[1:] for b in BROKEN], ids=[b[0] for b in BROKEN])
def test_a_violation_is_found(house: ModuleType, name: str, text: str, expected: tuple[int, str]) -> None:
    assert expected in rules_broken(house, name, text)


INNOCENT = [
    ("600 lines", "src/tidemill/ir/x.py", HEAD + "A = 1\n" * 596),
    ("60 lines", "tests/x.py", "def f():\n" + "    a = 1\n" * 59),
    ("empty package", "src/tidemill/ir/__init__.py", ""),
    ("docstring only", "src/tidemill/ir/__init__.py", '"""Why."""\n'),
    ("private names", "src/tidemill/ir/x.py", HEAD + "class _C:\n  def f(): ...\ndef _f(): ...\n"),
    ("nested function", "src/tidemill/ir/x.py", HEAD + 'def f():\n  "x"\n  def g(): ...\n'),
    ("overload", "src/tidemill/ir/x.py", HEAD + "@overload\ndef f(): ...\n"),
    ("explained ignore", "tests/x.py", "a = 1  # type: ignore[misc]  # the stub is wrong\n"),
    ("ignore in a string", "tests/x.py", "a = '# type: ignore'\n"),
    ("sleep in src", "src/tidemill/runtime/x.py", HEAD + "import time\ntime.sleep(1)\n"),
    ("other sleep", "tests/x.py", "night.sleep(1)\n"),
    ("print of the command line", "src/tidemill/cli/show.py", HEAD + "print(1)\n"),
    ("print of an executor", "src/tidemill/components/a/executor.py", HEAD + "print(1)\n"),
    ("print of progress", "src/tidemill/runners/local/progress.py", HEAD + "print(1)\n"),
    ("polars in data", "src/tidemill/data/a/b.py", HEAD + "import polars\n"),
    ("side module", "src/tidemill/components/a/trees.py", HEAD + "import lightgbm, numpy, pyarrow\n"),
    ("rich in progress", "src/tidemill/runners/local/progress_live.py", HEAD + "import rich\n"),
    ("polars in a test", "tests/x.py", "import polars\n"),
    ("a folder named home", "docs/x.md", "data/home and {base}/tmp and /workflow and https://a.b/home\n"),
    ("a word that contains one", "docs/x.md", "TO" + "DOS\n"),
]


@pytest.mark.parametrize(("name", "text"), [i[1:] for i in INNOCENT], ids=[i[0] for i in INNOCENT])
def test_its_innocent_twin_is_left_alone(house: ModuleType, name: str, text: str) -> None:
    assert rules_broken(house, name, text) == []


def run(folder: Path) -> subprocess.CompletedProcess[str]:
    script = Path(__file__).resolve().parents[2] / "house_rules.py"
    return subprocess.run(
        [sys.executable, script, folder], capture_output=True, text=True, check=False, timeout=60
    )


def test_the_script_reports_file_line_and_rule_and_fails(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    (tmp_path / ".gitignore").write_text("ignored.py\n")
    (tmp_path / "ignored.py").write_text("from os import *\n")
    (tmp_path / "data.bin").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "long.py").write_text("a = 1\n" * 500)
    clean = run(tmp_path)
    assert (clean.returncode, clean.stderr) == (0, "")
    assert clean.stdout.startswith("note: long.py: 500 lines")
    (tmp_path / "bad.py").write_text("\nfrom os import *\n")
    broken = run(tmp_path)
    assert broken.returncode == 1
    assert "bad.py:2: star-import: " in broken.stdout
    assert "ignored.py" not in broken.stdout
