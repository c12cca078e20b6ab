"""Finds the pipeline in a user's file and compiles it: `python -m tidemill.dsl.load FILE OUT [--code]`.

This runs in a process of its own, so that the command line and the runner never import user code.
OUT gets one JSON object: the IR and the code root, or the problems. With --code also the source files behind
the IR and the pipeline itself, by module, and the names that they import of libraries.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

from tidemill.dsl.compile import compile_to_json, sources
from tidemill.dsl.pipeline import Pipeline
from tidemill.errors import DefinitionError, Problem, did_you_mean

FACTORY = "create_pipeline"
"""A function of this name without arguments may make the pipeline."""


def load_pipeline(target: str) -> tuple[Pipeline, Path]:
    """The pipeline that `FILE` or `FILE:NAME` defines, and the folder its modules are imported from."""
    path, name = _file_of(target)
    if not path.is_file():
        near = [p.name for p in path.parent.glob("*.py")]
        raise DefinitionError(f"there is no pipeline file {target!r}", hint=did_you_mean(path.name, near))
    root, module_name = code_root(path)
    module = _import(path, root, module_name)
    return _find(module, path, name), root


def code_root(path: Path) -> tuple[Path, str]:
    """The folder to put on `sys.path` for a file, and the file's module name from there."""
    parts, folder = [path.stem], path.parent
    while (folder / "__init__.py").is_file():
        parts.insert(0, folder.name)
        folder = folder.parent
    return folder, ".".join(parts)


def _file_of(target: str) -> tuple[Path, str]:
    """The file, and the name of a pipeline in it or nothing."""
    file, _, name = target.rpartition(":")
    return (Path(file).resolve(), name) if file.endswith(".py") else (Path(target).resolve(), "")


def _import(path: Path, root: Path, module_name: str) -> ModuleType:
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise _explained(error, path, "imported") from error
    if Path(getattr(module, "__file__", None) or "").resolve() != path:
        hint = f"rename {path.name}: another module is already called {module_name!r}"
        raise DefinitionError(f"importing {module_name!r} did not give {path}", where=str(path), hint=hint)
    return module


def _explained(error: Exception, path: Path, done: str) -> DefinitionError:
    """The error as one of the definition, with a place."""
    if isinstance(error, DefinitionError) and error.problems[0].where:
        return error
    if isinstance(error, DefinitionError):
        return DefinitionError(error.message, where=_place(error, path), hint=error.hint)
    what = f"{path.name} cannot be {done}: {type(error).__name__}: {error}"
    return DefinitionError(what, where=_place(error, path))


def _place(error: BaseException, path: Path) -> str:
    """The last line of the user's own code on the way to an error."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}"
    place, trace = str(path), error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if Path(file).is_relative_to(code_root(path)[0]):
            place = f"{file}:{trace.tb_lineno}"
        trace = trace.tb_next
    return place


def _find(module: ModuleType, path: Path, name: str) -> Pipeline:
    found = {n: v for n, v in vars(module).items() if isinstance(v, Pipeline)}
    if name:
        if name not in found:
            hint = did_you_mean(name, found)
            raise DefinitionError(f"{path.name} has no pipeline {name!r}", where=str(path), hint=hint)
        return found[name]
    if not found and callable(factory := getattr(module, FACTORY, None)):
        try:
            made = factory()
        except Exception as error:
            raise _explained(error, path, "compiled") from error
        if isinstance(made, Pipeline):
            return made
    if "pipeline" in found:
        return found["pipeline"]
    distinct = list(dict.fromkeys(found.values()))
    outer = distinct if len(distinct) == 1 else [p for p in distinct if p not in _inner(distinct)]
    if len(outer) == 1:
        return outer[0]
    if not found:
        hint = f"decorate a function with @pipeline, or assign Pipeline(...), or define {FACTORY}()"
        raise DefinitionError(f"{path.name} defines no pipeline", where=str(path), hint=hint)
    names = ", ".join(sorted(found))
    hint = f"choose one: {path.name}:NAME, or call one of them `pipeline`"
    raise DefinitionError(f"{path.name} defines several pipelines: {names}", where=str(path), hint=hint)


def _inner(pipelines: list[Pipeline]) -> set[Pipeline]:
    """Those that are sub-pipelines of another one."""
    inner: set[Pipeline] = set()
    for candidate in pipelines:
        # A function that only works as a sub-pipeline says nothing here; compiling it would tell why.
        with contextlib.suppress(Exception):
            inner.update(p for node in candidate.collect() for p in node.within)
    return inner


def _main(target: str, out: str, *, with_code: bool = False) -> int:
    answer: dict[str, Any]
    try:
        found, root = load_pipeline(target)
        try:
            answer = {"ir": compile_to_json(found), "code_root": str(root)}
            if with_code:
                answer |= _code(answer["ir"], _file_of(target)[0])
        except Exception as error:
            raise _explained(error, _file_of(target)[0], "compiled") from error
    except DefinitionError as error:
        answer = {"error": error.message, "problems": [_problem(p) for p in error.problems]}
    Path(out).write_text(json.dumps(answer), encoding="utf-8")
    return 0


def _code(ir: dict[str, Any], path: Path) -> dict[str, Any]:
    """What an image of the pipeline must hold: code of nodes, artifact types, the file itself."""
    refs = [*ir.get("code", ()), *(t["python"] for t in ir.get("artifact_types", ()))]
    modules = {ref.partition(":")[0] for ref in refs}
    files, libraries = sources([*modules, code_root(path)[1]])
    return {"files": {name: str(place) for name, place in files.items()}, "libraries": sorted(libraries)}


def _problem(problem: Problem) -> dict[str, str]:
    return {"what": problem.what, "where": problem.where, "hint": problem.hint}


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1], sys.argv[2], with_code="--code" in sys.argv[3:]))
