"""`tidemill reproduce`."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import click

from tidemill.cli.compare import differences, results, shown
from tidemill.cli.driving import canceled_by_signals
from tidemill.cli.output import json_option, print_json, print_table
from tidemill.cli.progress import Progress
from tidemill.cli.workspace import Workspace, find_run, workspace_options
from tidemill.dsl.compile import code_digests, code_files
from tidemill.dsl.load import code_root as root_of
from tidemill.errors import RunnerError
from tidemill.ir import codec
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import Artifact, NodeState, Run, RunState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.base.starting import settings_of, start, wish_again
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.loops import by_place
from tidemill.runtime.reproduce import WITH_EFFECTS, has_effects

Verdict = Literal["same", "differs", "failed", "not run", "has effects", "had no result"]
_FINE = ("same", "has effects", "had no result")


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What came of one node."""

    node: str
    verdict: Verdict
    why: str = ""
    differences: tuple[tuple[str, Any, Any], ...] = ()
    """Output or property, then and now."""


@click.command()
@click.argument("run", default="latest")
@click.argument("file", default="")
@workspace_options
@click.option("--with-effects", is_flag=True, help="Also run nodes that change the world, such as Pusher.")
@click.option("--allow-changed-code", is_flag=True, help="Run today's code even if it is not that of then.")
@click.option("--jobs", "-j", default=0, metavar="N", help="Nodes at the same time.  [default: one per core]")
@click.option("--verbose", "-v", is_flag=True, help="Print the logs of the nodes as they grow.")
@json_option
def reproduce(
    run: str, file: str, workspace: Workspace, with_effects: bool, allow_changed_code: bool, jobs: int,
    verbose: bool, as_json: bool,
) -> None:  # fmt: skip
    """Run a run again, with the code, parameters and inputs of then, and say what came out differently.

    RUN is a run's id, a unique beginning of it, or `latest`; FILE is its pipeline's file, which says where
    its modules are [default: this folder]. Each node gets the very artifacts and files that it got then,
    nothing is reused, and the new run is kept apart: it is nobody's champion, window or cache. Nodes with
    effects outside of their outputs are left out.

    The exit code is 0 when every node that ran put out the same bytes and properties, 1 when one did not,
    failed, or could not be run because what it got is gone.
    """
    root = _root(file)
    cancel = CancelToken()
    store = workspace.open()
    progress = Progress(verbose=verbose, quiet=as_json)
    try:
        original = find_run(store, run)
        if original.state is RunState.RUNNING:
            raise RunnerError(f"run {original.id} has not ended yet", hint="wait for it, or resume it")
        ir = codec.loads(store.get_pipeline_version(original.version))
        settings = settings_of(ir, code_root=root, workdir=str(Path.cwd()), reuse="never")
        wanted = wish_again(ir, original, root=workspace.root, settings=settings, with_effects=with_effects)
        changed = changed_code(ir, root, original)
        if changed and not allow_changed_code:
            raise RunnerError(
                f"the code of run {original.id} is not that of then:\n  " + "\n  ".join(changed),
                hint="check out the code of then, name its FILE, or pass --allow-changed-code",
            )
        runner = LocalRunner(
            store=store, metadata=workspace.metadata, root=workspace.root, jobs=jobs, reuse="never",
            listener=progress, cancel=cancel,
        )  # fmt: skip
        with progress, canceled_by_signals(cancel.cancel):
            result = runner.finish(ir, *start(store, ir, wanted))
        found = compared(store, ir, original, result.run)
    finally:
        store.close()
    tell(original, result.run, found, changed, as_json=as_json)
    if result.state is RunState.CANCELED:
        raise click.exceptions.Exit(130)
    raise click.exceptions.Exit(0 if all(o.verdict in _FINE for o in found) else 1)


def _root(file: str) -> str:
    """The folder that the modules of a pipeline's file are imported from."""
    if not file:
        return str(Path.cwd())
    path = Path(file.rpartition(":")[0] if ".py:" in file else file).resolve()
    if not path.is_file():
        raise click.BadParameter(f"there is no file {str(path)!r}", param_hint="FILE")
    return str(root_of(path)[0])


# --- code -------------------------------------------------------------------------------------------


def changed_code(ir: PipelineIR, root: str, original: Run) -> list[str]:
    """What of the code is not that of then, for people; the IR keeps one digest per function."""
    with _importable(root):
        now = code_digests(ir.code)
        found = []
        for ref, digest in ir.code.items():
            if now.get(ref) == digest:
                continue
            nodes = ", ".join(n.id for n in ir.nodes if ref == n.executor) or "a parameter"
            if ref not in now:
                found.append(f"{ref} ({nodes}) is not found from {root}")
                continue
            newer = _newer(ref, original.create_time)
            hint = f"; since then {', '.join(newer)} was written" if newer else ""
            found.append(f"{ref} ({nodes}) or what it imports has changed{hint}")
    return found


def _newer(ref: str, milliseconds: int) -> list[str]:
    """Modules of a function whose files are newer than a moment: where to look first."""
    files = code_files(ref).items()
    return [name for name, path in files if path.stat().st_mtime * 1000 > milliseconds]


@contextmanager
def _importable(root: str) -> Iterator[None]:
    """A block in which modules are looked for in `root` first, as a node's process does."""
    sys.path.insert(0, root)
    try:
        yield
    finally:
        sys.path.remove(root)


# --- results ----------------------------------------------------------------------------------------


def compared(store: MetadataStore, ir: PipelineIR, original: Run, again: Run) -> list[Outcome]:
    """What came of each node, in the pipeline's order."""
    then = by_place(ir, store.get_nodes(original.id))
    now = by_place(ir, store.get_nodes(again.id))
    outputs = store.get_outputs([n.execution_id for n in (*then.values(), *now.values())])
    started = {n.node_id for n in now.values()}
    found = [
        Outcome(node=node.id, verdict="not run", why="the run was canceled")
        for node in ir.nodes
        if node.id not in started and not node.loops
    ]
    for place, record in now.items():
        before = then.get(place)
        if record.state in (NodeState.CANCELED, NodeState.RUNNING):
            found.append(Outcome(node=place, verdict="not run", why="the run was canceled"))
        elif record.state is NodeState.FAILED:
            found.append(Outcome(node=place, verdict="failed", why=record.message))
        elif record.state is NodeState.SKIPPED or before is None:
            left_out = has_effects(ir.node(record.node_id)) and not again.parameters[WITH_EFFECTS]
            verdict: Verdict = "has effects" if left_out else "not run"
            if before is None or before.state not in (NodeState.COMPLETE, NodeState.CACHED):
                verdict = "had no result"
            found.append(Outcome(node=place, verdict=verdict, why=record.message))
        else:
            was = outputs.get(before.execution_id, {})
            found.append(_outcome(place, was, outputs.get(record.execution_id, {})))
    return found


def _outcome(node: str, then: dict[str, list[Artifact]], now: dict[str, list[Artifact]]) -> Outcome:
    rows = differences(node, "", results(then), results(now))
    if not rows:
        return Outcome(node=node, verdict="same")
    return Outcome(node=node, verdict="differs", differences=tuple((what, a, b) for _, what, a, b in rows))


def tell(original: Run, again: Run, found: list[Outcome], changed: list[str], *, as_json: bool) -> None:
    """Print what came of a reproduction."""
    if as_json:
        print_json({
            "original": original.id, "run": again.id, "changed_code": changed,
            "nodes": [
                {
                    "node": o.node, "verdict": o.verdict, "why": o.why,
                    "differences": [
                        {"what": w, "then": a, "now": b, "delta": _delta(a, b)} for w, a, b in o.differences
                    ],
                }
                for o in found
            ],
        })  # fmt: skip
        return
    click.echo(f"\noriginal  {original.id}\nagain     {again.id}\n")
    for line in changed:
        click.echo(f"changed   {line}")
    rows: list[tuple[str, ...]] = []
    for o in found:
        first = (o.node, o.verdict)
        rows.extend((*first, what, shown(a), shown(b), _sign(_delta(a, b))) for what, a, b in o.differences)
        if not o.differences:
            rows.append((*first, o.why, "", "", ""))
    print_table(["NODE", "RESULT", "WHAT", "THEN", "NOW", "DELTA"], rows)


def _delta(then: Any, now: Any) -> float | None:
    """The change of a number, such as a metric."""
    numbers = all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in (then, now))
    return now - then if numbers else None


def _sign(delta: float | None) -> str:
    return "" if delta is None else f"{delta:+.6g}"
