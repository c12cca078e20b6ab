"""What `tidemill init` makes: a project that runs with the core alone, as its README says."""

from __future__ import annotations

import importlib.util
import os
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

BIN = Path(sys.executable).parent
NO_EXTRAS = """
import sys
for library in ("numpy", "pyarrow", "polars", "sklearn", "yaml"):
    sys.modules[library] = None
"""
"""Makes each library of the extras impossible to import, in a `sitecustomize` module."""


def run(folder: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    inherited = {k: v for k, v in os.environ.items() if not k.startswith("TIDEMILL_")}
    return subprocess.run(
        words,
        cwd=folder,
        env={**inherited, "PATH": f"{BIN}:{os.environ['PATH']}", "PYTHONPATH": str(folder.parent / "core")},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )


@pytest.fixture
def project(tmp_path: Path) -> Path:
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "sitecustomize.py").write_text(NO_EXTRAS)
    made = run(tmp_path, "tidemill", "init", "first_mill")
    assert made.returncode == 0, made.stderr
    return tmp_path / "first_mill"


def test_the_extras_are_out_of_reach(project: Path) -> None:
    assert run(project, sys.executable, "-c", "import polars").returncode != 0


def test_every_file_is_there_under_its_own_name(project: Path) -> None:
    made = {str(p.relative_to(project)) for p in project.rglob("*") if p.is_file()}
    assert made == {".gitignore", "README.md", "pipeline.py", "tests/test_pipeline.py"}
    assert all("__name__" not in (project / name).read_text() for name in made)


def test_the_commands_of_its_readme_work(project: Path, root: Path) -> None:
    spec = importlib.util.spec_from_file_location("documents", root / "tests" / "docs" / "documents.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["documents"] = documents = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(documents)
    readme = documents.read(project / "README.md")
    commands = [command for block in readme.blocks for _, command in documents.commands_of(block)]
    assert len(commands) == 3
    for command in commands:
        ended = run(project, *shlex.split(command))
        assert ended.returncode == 0, ended.stdout + ended.stderr
    again = run(project, *shlex.split(commands[0]))
    assert again.stdout.count("CACHED") == 2, again.stdout


def test_its_own_tests_pass(project: Path) -> None:
    ended = run(project, sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "2 passed" in ended.stdout


def test_it_is_as_clean_as_the_house(project: Path, root: Path) -> None:
    config = ["--config", str(root / "pyproject.toml")]
    checked = run(project, BIN / "ruff", "check", *config, ".")
    formatted = run(project, BIN / "ruff", "format", "--check", *config, ".")
    assert checked.returncode == 0, checked.stdout
    assert formatted.returncode == 0, formatted.stdout
