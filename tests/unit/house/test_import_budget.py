"""What a fresh process loads: the command line and the workers start without the heavy libraries.

Counts and names are asserted, never times.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

HEAVY = {"numpy", "pyarrow", "polars", "sqlalchemy", "sqlite3", "pysqlite3", "yaml", "sklearn", "fsspec"}
SERVERS = {"grpc", "starlette", "uvicorn", "prometheus_client", "google", "asyncio"}
TERMINAL = {"click", "rich"}
SHOW = "\nimport sys\nprint(*sorted(sys.modules))"
HELP = """
from tidemill.cli.main import cli
try:
    cli(["--help"])
except SystemExit as end:
    assert not end.code, end.code
"""

BUDGETS = {
    "import tidemill": ("import tidemill", HEAVY | TERMINAL),
    "tidemill --help": (HELP, HEAVY),
    "tidemill.dsl": ("import tidemill.dsl.pipeline", HEAVY | TERMINAL),
    "tidemill.types": ("import tidemill.types.standard", HEAVY | TERMINAL),
    "a store over HTTP": (
        "import tidemill.metadata.open, tidemill.metadata.remote.http_client",
        HEAVY | TERMINAL | SERVERS | {"urllib3", "requests", "httpx"},
    ),
    "a store over gRPC": ("import tidemill.metadata.remote.grpc_client", HEAVY | TERMINAL | {"google"}),
    "tidemill.runtime": ("import tidemill.runtime", HEAVY | TERMINAL),
    "declarations": ("from tidemill.components import ExampleGen, Trainer, Pusher", HEAVY | TERMINAL),
}


def loaded_by(code: str) -> set[str]:
    """Names of the modules a fresh interpreter holds after `code`."""
    run = subprocess.run(
        [sys.executable, "-c", code + SHOW], capture_output=True, text=True, check=False, timeout=60
    )
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())


@pytest.mark.parametrize(("code", "refused"), BUDGETS.values(), ids=BUDGETS.keys())
def test_a_fresh_process_loads_nothing_heavy(code: str, refused: set[str]) -> None:
    libraries = {name.partition(".")[0] for name in loaded_by(code)}
    assert "tidemill" in libraries
    assert not libraries & refused


def runtime_modules(root: Path) -> list[str]:
    """Every module of the runtime, as an importable name."""
    files = sorted((root / "src" / "tidemill" / "runtime").rglob("*.py"))
    return [".".join(f.relative_to(root / "src").with_suffix("").parts) for f in files]


def test_no_module_of_the_runtime_needs_a_terminal_or_the_definition_language(root: Path) -> None:
    names = [n for n in runtime_modules(root) if not n.endswith("__main__")]
    loaded = loaded_by("\n".join(f"import {n}" for n in names))
    libraries = {name.partition(".")[0] for name in loaded}
    assert not libraries & (TERMINAL | {"numpy", "pyarrow", "polars", "sklearn"})
    rooms = {".".join(name.split(".")[:2]) for name in loaded if name.startswith("tidemill.")}
    assert not rooms & {"tidemill.dsl", "tidemill.cli", "tidemill.runners", "tidemill.testing"}
