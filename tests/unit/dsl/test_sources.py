"""What must be there for a pipeline's modules to be imported, and what they import of libraries."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tidemill.dsl.code import files_of, sources_of

PIPELINE = """
import json
import absent_library
from numpy.typing import NDArray
from tidemill import component, pipeline
from lib.used import double
import space.beside
from tidemill.components import StatisticsGen

@component
def fit(number: int = 3) -> dict:
    return {"a": number}
"""


@pytest.fixture
def project(module: Callable[[str, str], Path]) -> Path:
    module("work.py", PIPELINE)
    module("lib/__init__.py", "from other import thing\n")
    module("lib/used.py", "import yaml.nodes\nfrom . import near\n")
    module("lib/near.py", "")
    module("lib/unused.py", "import scipy\n")
    module("other.py", "thing = 1\n")
    module("space/beside.py", "def broken(:\n")
    return module("unrelated.py", "")


def test_all_of_a_module_is_imported_with_the_packages_around_it(project: Path) -> None:
    files, libraries = sources_of(["work"])
    assert {name: path.relative_to(project.parent).as_posix() for name, path in files.items()} == {
        "work": "work.py", "lib": "lib/__init__.py", "lib.used": "lib/used.py", "lib.near": "lib/near.py",
        "other": "other.py", "space.beside": "space/beside.py",
    }  # fmt: skip
    assert {name.partition(".")[0] for name in libraries} == {"absent_library", "numpy", "yaml"}
    assert {"numpy.typing", "yaml.nodes"} <= libraries
    assert set(files_of("work:fit")) - {"work"} == set(), "the digest of one function covers less"


def test_nothing_is_imported_and_tidemill_is_no_library(project: Path) -> None:
    assert sources_of(["tidemill.components.statistics_gen.executor"]) == ({}, set())
    sources_of(["work"])
    assert "lib" not in sys.modules


def test_the_process_that_loads_a_pipeline_tells_its_code(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "__init__.py").write_text("")
    (tmp_path / "mine" / "kinds.py").write_text(
        "from tidemill import Artifact\nclass Table(Artifact):\n    pass\n"
    )
    text = (
        "from tidemill import Output, component, pipeline\nfrom mine.kinds import Table\n"
        "@component\ndef make(table: Output[Table]) -> None:\n    pass\n"
        "@pipeline\ndef daily() -> None:\n    make()\n"
    )
    (tmp_path / "steps.py").write_text(text)
    (tmp_path / "pipeline.py").write_text("from steps import daily\npipeline = daily\n")
    out = tmp_path / "out.json"
    for words, extra in (((), set()), (("--code",), {"files", "libraries"})):
        command = [sys.executable, "-m", "tidemill.dsl.load", str(tmp_path / "pipeline.py"), str(out), *words]
        subprocess.run(command, check=True)
        answer = json.loads(out.read_text())
        assert set(answer) == {"ir", "code_root"} | extra
    assert set(answer["files"]) == {"pipeline", "steps", "mine", "mine.kinds"}
