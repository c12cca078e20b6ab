"""Every document keeps its promises: links, paths, make targets, commands, Python."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import click
import pytest

ROOT = Path(__file__).resolve().parents[2]
NAMES = sorted(
    str(path.relative_to(ROOT))
    for pattern in ("*.md", "docs/**/*.md", "examples/**/*.md", "bench/**/*.md")
    for path in ROOT.glob(pattern)
)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("check", ["missing_links", "missing_paths", "missing_targets", "wrong_python"])
def test_what_a_document_names_exists(documents: ModuleType, root: Path, name: str, check: str) -> None:
    document = documents.read(root / name)
    assert list(getattr(documents, check)(document, root)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_of_a_document_exist(
    documents: ModuleType, root: Path, cli: click.Group, name: str
) -> None:
    assert list(documents.missing_verbs(documents.read(root / name), root, cli)) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_python_of_a_document_runs(documents: ModuleType, root: Path, name: str, tmp_path: Path) -> None:
    code = documents.tested_python(documents.read(root / name))
    (tmp_path / "document.py").write_text(code, encoding="utf-8")
    run = subprocess.run(
        [sys.executable, "-W", "error", "document.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert run.returncode == 0, run.stderr


def test_every_command_and_option_has_help(documents: ModuleType, cli: click.Group) -> None:
    assert list(documents.undocumented(cli, "tidemill")) == []
