"""Where a command works: pipeline root, metadata store, and the pipeline file it was given."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from tidemill.errors import DefinitionError, Problem, RunnerError, StoreError, did_you_mean
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import BLESSINGS, Run
from tidemill.metadata.open import SERVERS, open_store
from tidemill.metadata.sql import SqlStore
from tidemill.metadata.sql import open_store as open_database_store
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.root import absolute, default_metadata
from tidemill.types.parameter import Text

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Workspace:
    """The place that --root and --metadata name."""

    root: str
    """An absolute path, or the URI of a remote root."""
    metadata: str

    def open(self) -> MetadataStore:
        """The metadata store, made if it does not exist."""
        return open_store(self.metadata)

    def open_existing(self, *, read_only: bool = True) -> MetadataStore:
        """The metadata store, for reading by default; StoreError when nothing was ever run here."""
        self._check_exists()
        return open_store(self.metadata, read_only=read_only)

    def _check_exists(self) -> None:
        path = Path(self.metadata.removeprefix("sqlite:///"))
        on_a_server = "://" in self.metadata and not self.metadata.startswith("sqlite:")
        if not on_a_server and not path.exists():
            raise StoreError(
                f"there is no record at {path}",
                hint="run a pipeline first (tidemill run FILE), or pass --root or --metadata",
            )

    def open_existing_database(self, what: str, *, read_only: bool) -> SqlStore:
        """Like open_database, for one that is there."""
        self._check_exists()
        return self.open_database(what, read_only=read_only)

    def open_database(self, what: str, *, read_only: bool = False) -> SqlStore:
        """The metadata store for `what` only its own database can do. StoreError for one on a server."""
        if self.metadata.startswith(SERVERS):
            raise StoreError(
                f"{what} is done where the database is, not through a metadata server",
                where=self.metadata,
                hint="run the command there, with --metadata naming the database",
            )
        return open_database_store(self.metadata, read_only=read_only)


def workspace_options(function: F) -> F:
    """Add --root and --metadata; the command gets them as one `Workspace`."""
    from functools import wraps

    @click.option(
        "--root",
        envvar="TIDEMILL_ROOT",
        default=".tidemill",
        show_default=True,
        metavar="DIR|URI",
        help="Pipeline root: where artifacts and logs are kept. A folder, or for example s3://bucket/folder.",
    )
    @click.option(
        "--metadata",
        envvar="TIDEMILL_METADATA",
        default="",
        metavar="URL",
        help="Metadata store.  [default: sqlite database in the root]",
    )
    @wraps(function)
    def wrapper(*args: Any, root: str, metadata: str, **kwargs: Any) -> Any:
        record = metadata or default_metadata(root)
        if not record:
            raise click.UsageError(
                f"--root {root} cannot hold the record: name a database with --metadata URL"
            )
        return function(*args, workspace=Workspace(absolute(root), record), **kwargs)

    return wrapper  # type: ignore[return-value]  # same function with other options, as click wants it


def run_options(function: F) -> F:
    """Add --param and --date."""
    function = click.option(
        "--param", "-p", "params", multiple=True, metavar="NAME=VALUE",
        help="Value of a runtime parameter; may be repeated.",
    )(function)  # fmt: skip
    return click.option(
        "--date", default="", metavar="YYYY-MM-DD",
        help="Date whose data the run processes.  [default: yesterday for a scheduled pipeline]",
    )(function)  # fmt: skip


def read_params(params: tuple[str, ...]) -> dict[str, Text]:
    """`NAME=VALUE` words as a dict."""
    given: dict[str, Text] = {}
    for word in params:
        name, equals, value = word.partition("=")
        if not equals:
            raise click.BadParameter(f"{word!r} is not NAME=VALUE", param_hint="--param")
        given[name] = Text(value)
    return given


def load_ir(target: str) -> tuple[PipelineIR, str]:
    """Compile a pipeline file in a process of its own; the IR and the code root.

    A `.json` file is read as an IR instead. DefinitionError lists every problem.
    """
    if target.endswith(".json"):
        path = Path(target)
        if not path.is_file():
            raise DefinitionError(f"there is no IR file {target!r}")
        return codec.loads(path.read_bytes()), str(path.parent.absolute())
    answer = _loaded(target)
    return codec.decode(answer["ir"]), str(answer["code_root"])


@dataclass(frozen=True, slots=True)
class Code:
    """A pipeline with the code that its nodes run."""

    ir: PipelineIR
    root: Path
    """The folder that modules are imported from."""
    files: dict[str, Path]
    """The user's source files, by module."""
    libraries: list[str]
    """Dotted names that these import of libraries."""


def load_code(target: str) -> Code:
    """Compile a pipeline file as `load_ir` does, and find its code. DefinitionError lists every problem."""
    if target.endswith(".json"):
        raise DefinitionError(
            f"{target} is an IR, which does not have the pipeline's code",
            hint="name the Python file that defines the pipeline",
        )
    answer = _loaded(target, "--code")
    files = {str(name): Path(place) for name, place in answer["files"].items()}
    return Code(codec.decode(answer["ir"]), Path(answer["code_root"]), files, list(answer["libraries"]))


def _loaded(target: str, *words: str) -> dict[str, Any]:
    """What the process says that loads a pipeline file; DefinitionError with its problems."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "answer.json"
        command = [sys.executable, "-m", "tidemill.dsl.load", target, str(out), *words]
        ended = subprocess.run(command, stdout=sys.stderr, check=False, env={**os.environ})
        if not out.exists():
            why = f"the process that loaded it ended with status {ended.returncode}"
            raise DefinitionError(f"{target} cannot be compiled: {why}", where=target)
        answer: dict[str, Any] = json.loads(out.read_text(encoding="utf-8"))
    if "error" in answer:
        problems = [Problem(p["what"], p["where"], p["hint"]) for p in answer["problems"]]
        first = problems[0]
        raise DefinitionError(answer["error"], where=first.where, hint=first.hint, problems=problems)
    return answer


def find_run(store: MetadataStore, name: str) -> Run:
    """A run by id, by a unique beginning of its id, or `latest`. RunnerError otherwise."""
    if name == "latest":
        # Somebody's word on a model is no run that anybody means by this.
        newest = [run for run in store.get_runs(limit=1000) if not run.pipeline.endswith(BLESSINGS)]
        if not newest:
            raise RunnerError("nothing was run yet")
        return newest[0]
    run = store.get_run(name)
    if run is not None:
        return run
    known = store.get_runs(limit=1000)
    matching = [r for r in known if r.id.startswith(name)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        raise RunnerError(f"{name!r} is the beginning of {len(matching)} runs", hint="write more of the id")
    raise RunnerError(f"there is no run {name!r}", hint=did_you_mean(name, [r.id for r in known]))


def pipelines(store: MetadataStore) -> set[str]:
    """Names of the pipelines that ran lately: what somebody may have meant."""
    return {run.pipeline for run in store.get_runs(limit=1000)}


def tell_unknown_pipeline(store: MetadataStore, name: str) -> None:
    """Say aside that a list is empty because no such pipeline ever ran, if that is so."""
    if name and not store.get_runs(pipeline=name, limit=1):
        hint = did_you_mean(name, pipelines(store))
        click.echo(f"there is no run of a pipeline {name!r}" + (f"; {hint}" if hint else ""), err=True)
