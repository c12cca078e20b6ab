"""Compile what is at hand, run it on this machine, and hand out what came of it."""

from __future__ import annotations

import dataclasses
import importlib.util
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.component import Component
from tidemill.dsl.node import Node, collecting
from tidemill.dsl.pipeline import Pipeline
from tidemill.errors import DefinitionError, RunFailed, RunnerError, did_you_mean
from tidemill.interactive.importing import imported
from tidemill.interactive.progress import is_notebook, progress_of
from tidemill.interactive.result import NodeResult, Result
from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import RunState
from tidemill.metadata.sql import open_store
from tidemill.runners.local.runner import LocalRunner
from tidemill.runtime import here
from tidemill.runtime.plan import run_date
from tidemill.runtime.root import absolute, default_metadata

_TAIL = 15
"""Lines of a failed node's log that its error shows."""
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a run is run; see `Pipeline.run`."""

    date: str = ""
    root: str | os.PathLike[str] = ""
    metadata: str = ""
    jobs: int = 0
    cache: bool = True
    new: bool = False
    verbose: bool | None = None
    check: bool = True

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Settings:
        """From keywords; RunnerError for an unknown one."""
        known = [f.name for f in dataclasses.fields(cls)]
        for name in given:
            if name not in known:
                raise RunnerError(f"run() has no setting {name!r}", hint=did_you_mean(name, known))
        return cls(**given)


def run_pipeline(
    pipeline: Pipeline, parameters: Mapping[str, Any], settings: Mapping[str, Any] | Settings
) -> Result:
    """Run a pipeline to its end. RunFailed when it did not complete, unless `check` is off."""
    _refuse_where_it_cannot_end()
    chosen = settings if isinstance(settings, Settings) else Settings.of(settings)
    ir = _compiled(pipeline, live=True)
    _check_parameters(ir, parameters)
    root = absolute(os.fspath(chosen.root) or os.environ.get("TIDEMILL_ROOT") or ".tidemill")
    metadata = chosen.metadata or os.environ.get("TIDEMILL_METADATA") or default_metadata(root)
    if not metadata:
        raise RunnerError(f"the root {root} cannot hold the record", hint="name a database: metadata=URL")
    verbose = is_notebook() if chosen.verbose is None else chosen.verbose
    store = open_store(metadata)
    try:
        with progress_of(verbose=verbose) as progress:
            runner = LocalRunner(
                store=store,
                metadata=metadata,
                root=root,
                jobs=chosen.jobs,
                reuse="allowed" if chosen.cache else "never",
                listener=progress,
            )
            ended = runner.run(
                ir, parameters, date=run_date(ir, chosen.date), code_root=_code_root(ir),
                workdir=str(Path.cwd()), new=chosen.new,
            )  # fmt: skip
        result = Result(ended.run, ended.state, ended.seconds, ir, store)
    finally:
        store.close()
    if chosen.check and ended.state is not RunState.COMPLETE:
        raise RunFailed(_explained(result), result=result)
    return result


def compile_now(pipeline: Pipeline) -> tuple[PipelineIR, str]:
    """The IR of a pipeline whose code lives in modules, and the folder that they are imported from."""
    ir = _compiled(pipeline, live=False)
    return ir, _code_root(ir)


def _compiled(pipeline: Pipeline, *, live: bool) -> PipelineIR:
    token = collecting.set(None)  # called inside a pipeline function, it would be part of that pipeline
    try:
        return compile_pipeline(pipeline, live=live)
    finally:
        collecting.reset(token)


def run_node(node: Node[Any], settings: Mapping[str, Any]) -> NodeResult:
    """Run one node, and those that it takes from."""
    pipeline = Pipeline(node.component.name, nodes=[node])
    return run_pipeline(pipeline, {}, settings)[node.id]


def run_component(component: Component[..., Any], arguments: Mapping[str, Any]) -> NodeResult:
    """Run a component alone: the one node of a pipeline of its name, but for inputs to be imported."""
    inputs = component.signature.inputs
    token = collecting.set(None)
    try:
        given = {
            name: imported(component, name, inputs[name], value) if name in inputs else value
            for name, value in arguments.items()
        }
        node = component(**given)
    finally:
        collecting.reset(token)
    return run_node(node, {})


def _check_parameters(ir: PipelineIR, parameters: Mapping[str, Any]) -> None:
    """Missing and unknown ones, in the words of somebody who calls a function."""
    settings = [f.name for f in dataclasses.fields(Settings)]
    known = {p.name: p for p in ir.parameters}
    for name in parameters:
        if name not in known:
            hint = did_you_mean(name, [*known, *settings])
            raise RunnerError(f"pipeline {ir.name!r} has no runtime parameter {name!r}", hint=hint)
    for name, parameter in known.items():
        if parameter.required and name not in parameters:
            raise RunnerError(f"runtime parameter {name!r} has no value", hint=f"write run({name}=...)")


def _explained(result: Result) -> str:
    """What failed and how, with the end of its log."""
    if result.state == RunState.CANCELED:
        return f"run {result.id} was canceled"
    lines = [f"run {result.id} failed"]
    for node in result.nodes.values():
        if node.state == "FAILED":
            lines.append(f"{node.id}: {node.message}")
            text = node.printed.strip()
            if text and text != node.message.strip():
                lines += [f"  | {line}" for line in text.splitlines()[-_TAIL:]]
                lines.append(f"  log  {node.log}")
    return "\n".join(lines)


def _refuse_where_it_cannot_end() -> None:
    """Two places from which a run would never end.

    Inside a node of this process it would wait for that node. A script that runs its pipeline when it is
    imported would run it in every process that imports it, for ever.
    """
    if here.is_executing():
        raise RunnerError(
            "a component that runs in this process cannot start a run: the two would wait for each other",
            hint="make what it runs nodes of the pipeline, or call the function itself",
        )
    importers = {("child.py", "_load"), ("load.py", "_import")}
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if (Path(code.co_filename).name, code.co_name) in importers and "tidemill" in code.co_filename:
            raise DefinitionError(
                "run() was called while its file was being imported by tidemill",
                hint='write it below `if __name__ == "__main__":`',
            )
        frame = frame.f_back


# --- where workers import from --------------------------------------------------------------------


def _code_root(ir: PipelineIR) -> str:
    """The folder that the components' modules are imported from.

    DefinitionError when they come from several: a worker has one.
    """
    roots: dict[str, str] = {}
    for ref in ir.code:
        module = ref.partition(":")[0]
        root = _import_root(module.partition(".")[0])
        if root:
            roots.setdefault(root, module)
    if len(roots) > 1:
        shown = ", ".join(f"{module} from {root}" for root, module in sorted(roots.items()))
        raise DefinitionError(
            f"the components come from several folders: {shown}",
            hint="install one of them as a package, or keep both below one folder",
        )
    script = getattr(sys.modules["__main__"], "__file__", None)
    usual = Path(script).absolute().parent if script else Path.cwd()
    return next(iter(roots), str(usual))


def _import_root(top: str) -> str:
    """The folder on the path that holds the top-level module; empty for installed and built-in ones."""
    if top in ("__main__", "tidemill") or top in sys.stdlib_module_names:
        return ""
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:
        return ""
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    origin = places[0] if places else (spec.origin if spec is not None else None)
    if origin is None or not _PACKAGE_FOLDERS.isdisjoint(Path(origin).parts):
        return ""
    return str(Path(origin).absolute().parent)
