"""The import contracts in pyproject.toml refuse what they should, and only that.

The rooms are imitated by a package of one-line modules, so the contracts themselves are under test and
not today's code.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOMS = [
    "errors",
    "types.artifact",
    "ir.model",
    "storage.local",
    "pages.document",
    "images.append",
    "listener",
    "metadata.model",
    "metadata.sql.store",
    "data.table",
    "models.loading",
    "training.saving",
    "serving.app",
    "dsl.component",
    "dsl.compile",
    "dsl.compile_node",
    "dsl.code",
    "dsl.live_code",
    "runtime.launch",
    "runners.base",
    "runners.local.pool",
    "runners.airflow.render",
    "components.trainer.component",
    "components.trainer.executor",
    "components.trainer.trees",
    "components.pusher.component",
    "components.pusher.executor",
    "components.infra_validator.executor",
    "mlmd.store",
    "server.app",
    "cli.main",
    "interactive.running",
    "testing.store_suite",
]

ALLOWED = [
    ("types.artifact", "errors"),
    ("ir.model", "types.artifact"),
    ("storage.local", "types.artifact"),
    ("metadata.sql.store", "metadata.model"),
    ("data.table", "storage.local"),
    ("dsl.component", "types.artifact"),
    ("dsl.compile", "ir.model"),
    ("dsl.compile", "dsl.component"),
    ("dsl.compile_node", "ir.model"),
    ("dsl.compile_node", "dsl.code"),
    ("runtime.launch", "ir.model"),
    ("runtime.launch", "metadata.model"),
    ("runtime.launch", "storage.local"),
    ("runners.local.pool", "runtime.launch"),
    ("runners.local.pool", "runners.base"),
    ("runners.local.pool", "ir.model"),
    ("runners.local.pool", "metadata.model"),
    ("components.trainer.component", "dsl.component"),
    ("components.trainer.component", "types.artifact"),
    ("components.trainer.executor", "components.trainer.trees"),
    ("components.trainer.executor", "data.table"),
    ("components.trainer.executor", "models.loading"),
    ("components.trainer.executor", "training.saving"),
    ("components.pusher.executor", "models.loading"),
    ("training.saving", "models.loading"),
    ("training.saving", "data.table"),
    ("serving.app", "models.loading"),
    ("serving.app", "storage.local"),
    ("serving.app", "listener"),
    ("server.app", "listener"),
    ("listener", "errors"),
    ("components.infra_validator.executor", "serving.app"),
    ("cli.main", "serving.app"),
    ("models.loading", "data.table"),
    ("components.trainer.trees", "storage.local"),
    ("components.__init__", "components.trainer.component"),
    ("cli.main", "components.__init__"),
    ("cli.main", "dsl.compile"),
    ("cli.main", "runners.local.pool"),
    ("interactive.running", "cli.main"),
    ("interactive.running", "dsl.compile"),
    ("interactive.running", "ir.model"),
    ("interactive.running", "metadata.sql.store"),
    ("interactive.running", "runners.local.pool"),
    ("interactive.running", "runtime.launch"),
    ("interactive.running", "storage.local"),
    ("dsl.compile_node", "dsl.live_code"),
    ("dsl.live_code", "dsl.code"),
    ("cli.main", "metadata.sql.store"),
    ("mlmd.store", "metadata.sql.store"),
    ("server.app", "metadata.sql.store"),
    ("server.app", "runners.local.pool"),
    ("cli.main", "server.app"),
    ("cli.main", "pages.document"),
    ("cli.main", "images.append"),
    ("images.append", "types.artifact"),
    ("interactive.running", "pages.document"),
    ("testing.store_suite", "metadata.model"),
]

REFUSED = [
    ("pages.document", "data.table"),
    ("pages.document", "storage.local"),
    ("pages.document", "metadata.model"),
    ("images.append", "dsl.component"),
    ("images.append", "runtime.launch"),
    ("images.append", "metadata.model"),
    ("images.append", "ir.model"),
    ("listener", "metadata.model"),
    ("listener", "storage.local"),
    ("errors", "types.artifact"),
    ("types.artifact", "ir.model"),
    ("ir.model", "metadata.model"),
    ("ir.model", "storage.local"),
    ("storage.local", "metadata.model"),
    ("metadata.model", "storage.local"),
    ("data.table", "ir.model"),
    ("data.table", "metadata.model"),
    ("data.table", "dsl.component"),
    ("data.table", "runtime.launch"),
    ("data.table", "models.loading"),
    ("models.loading", "training.saving"),
    ("models.loading", "serving.app"),
    ("serving.app", "data.table"),
    ("serving.app", "metadata.model"),
    ("serving.app", "runtime.launch"),
    ("serving.app", "dsl.component"),
    ("serving.app", "components.trainer.executor"),
    ("components.pusher.executor", "serving.app"),
    ("server.app", "serving.app"),
    ("models.loading", "metadata.model"),
    ("models.loading", "storage.local"),
    ("models.loading", "runtime.launch"),
    ("components.pusher.executor", "training.saving"),
    ("components.trainer.component", "models.loading"),
    ("components.trainer.component", "training.saving"),
    ("runtime.launch", "models.loading"),
    ("cli.main", "models.loading"),
    ("dsl.component", "ir.model"),
    ("dsl.component", "metadata.model"),
    ("dsl.component", "dsl.code"),
    ("cli.main", "dsl.code"),
    ("interactive.running", "dsl.live_code"),
    ("interactive.running", "data.table"),
    ("interactive.running", "components.trainer.executor"),
    ("dsl.component", "interactive.running"),
    ("dsl.component", "dsl.live_code"),
    ("cli.main", "interactive.running"),
    ("runners.local.pool", "interactive.running"),
    ("dsl.component", "storage.local"),
    ("dsl.compile", "runtime.launch"),
    ("dsl.compile", "data.table"),
    ("runtime.launch", "dsl.component"),
    ("runtime.launch", "data.table"),
    ("runtime.launch", "runners.base"),
    ("runtime.launch", "components.trainer.executor"),
    ("runners.base", "runners.local.pool"),
    ("runners.local.pool", "runners.airflow.render"),
    ("runners.airflow.render", "runners.local.pool"),
    ("runners.local.pool", "dsl.component"),
    ("runners.local.pool", "storage.local"),
    ("runners.local.pool", "data.table"),
    ("runners.local.pool", "components.trainer.executor"),
    ("components.trainer.component", "components.trainer.executor"),
    ("components.trainer.component", "components.pusher.component"),
    ("components.trainer.component", "data.table"),
    ("components.trainer.component", "storage.local"),
    ("components.trainer.component", "errors"),
    ("components.trainer.component", "ir.model"),
    ("components.trainer.executor", "components.pusher.executor"),
    ("components.trainer.executor", "components.pusher.component"),
    ("components.trainer.executor", "dsl.component"),
    ("components.trainer.executor", "ir.model"),
    ("components.trainer.executor", "metadata.model"),
    ("components.trainer.executor", "runtime.launch"),
    ("components.trainer.trees", "runners.base"),
    ("cli.main", "components.trainer.executor"),
    ("cli.main", "components.trainer.trees"),
    ("cli.main", "data.table"),
    ("cli.main", "testing.store_suite"),
    ("metadata.sql.store", "testing.store_suite"),
    ("metadata.sql.store", "mlmd.store"),
    ("runtime.launch", "mlmd.store"),
    ("runtime.launch", "server.app"),
    ("runners.local.pool", "server.app"),
    ("mlmd.store", "server.app"),
    ("server.app", "cli.main"),
    ("server.app", "runtime.launch"),
    ("server.app", "dsl.component"),
    ("server.app", "components.trainer.executor"),
    ("server.app", "data.table"),
    ("mlmd.store", "runtime.launch"),
    ("mlmd.store", "storage.local"),
]


def lint(folder: Path, imports: list[tuple[str, str]], root: Path) -> subprocess.CompletedProcess[str]:
    """Build the package with just these imports and hold the repository's contracts against it."""
    package = folder / "tidemill"
    for room in ROOMS:
        file = package.joinpath(*room.split(".")).with_suffix(".py")
        file.parent.mkdir(parents=True, exist_ok=True)
        for parent in (package, *reversed(file.relative_to(package).parents)):
            (package / parent / "__init__.py").touch()
        file.touch()
    for importer, imported in imports:
        file = package.joinpath(*importer.split(".")).with_suffix(".py")
        with file.open("a") as lines:
            lines.write(f"import tidemill.{imported.removesuffix('.__init__')}\n")
    return subprocess.run(
        [Path(sys.executable).parent / "lint-imports", "--config", root / "pyproject.toml", "--no-cache"],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(folder), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_what_the_design_allows_is_allowed(tmp_path: Path, root: Path) -> None:
    run = lint(tmp_path, ALLOWED, root)
    assert run.returncode == 0, run.stdout + run.stderr
    assert f"{len(ALLOWED)} dependencies" in run.stdout  # it read the imitation, not the real package


@pytest.fixture(scope="module")
def complaints(tmp_path_factory: pytest.TempPathFactory, root: Path) -> str:
    run = lint(tmp_path_factory.mktemp("rooms"), REFUSED, root)
    assert run.returncode == 1, run.stdout + run.stderr
    return run.stdout


@pytest.mark.parametrize(("importer", "imported"), REFUSED)
def test_what_the_design_refuses_is_refused(complaints: str, importer: str, imported: str) -> None:
    assert f"tidemill.{importer} -> tidemill.{imported} (l." in complaints


def test_a_new_room_needs_a_place(tmp_path: Path, root: Path) -> None:
    (tmp_path / "tidemill" / "attic").mkdir(parents=True)
    (tmp_path / "tidemill" / "attic" / "__init__.py").touch()
    run = lint(tmp_path, [], root)
    assert run.returncode == 1
    assert "tidemill.attic" in run.stdout


def test_no_contract_has_an_exception(root: Path) -> None:
    rules = (root / "pyproject.toml").read_text(encoding="utf-8").partition("[tool.importlinter]")[2]
    assert "contracts" in rules
    assert "ignore" not in rules
