"""What code a component runs, as a digest: the cache's answer to "did the code change?".

The digest covers the function, what it uses of its own module, and the whole of every project module
that is imported from there, directly or not. It is taken of the syntax tree without comments and
docstrings, so formatting never changes it. Installed packages are not covered: pin them. Calls that
are found only at run time (`getattr`, `importlib`) are not seen either.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import inspect
import sys
import sysconfig
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

_OWN_CODE = ("tidemill.components.", "tidemill.data.")
"""Of tidemill itself only what executors run counts as code of a component."""
_INSTALLED = tuple(
    str(Path(p).resolve()) for key in ("stdlib", "platstdlib", "purelib", "platlib")
    if (p := sysconfig.get_paths().get(key))
)  # fmt: skip


def digest_of(function: Callable[..., Any]) -> str:
    """Digest of `function` and of all project code it can reach, in hex."""
    pieces = dict(_reachable(function))
    sha = hashlib.sha256()
    for name in sorted(pieces):
        sha.update(f"{name}\0{pieces[name]}\0".encode())
    return sha.hexdigest()[:32]


def _reachable(function: Callable[..., Any]) -> Iterator[tuple[str, str]]:
    """(name, normalised source) of the function, and of the modules it draws in."""
    module = function.__module__
    source = _source_file(module)
    if source is None:
        yield module, _plain(ast.parse(inspect.cleandoc(inspect.getsource(function))))
        return
    tree = _parse(source)
    used = _used_definitions(tree, function.__qualname__.split(".", 1)[0])
    yield module, "\n".join(_plain(statement) for statement in used)
    seen = {module}
    pending = list(_imports(used, _package(module, source)))
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        path = _source_file(name)
        if path is not None:
            yield name, _plain(_parse(path))
            pending.extend(_imports([_parse(path)], _package(name, path)))


def _used_definitions(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The statements of a module that define `name` and, in turn, everything these mention."""
    bindings: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        for bound in _binds(statement):
            bindings.setdefault(bound, []).append(statement)
    wanted, seen, used = [name], {name}, set()
    while wanted:
        for statement in bindings.get(wanted.pop(), ()):
            used.add(statement)
            for node in ast.walk(statement):
                if isinstance(node, ast.Name) and node.id not in seen:
                    seen.add(node.id)
                    wanted.append(node.id)
    return [statement for statement in tree.body if statement in used]


def _binds(statement: ast.stmt) -> set[str]:
    """Names a module-level statement binds."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    if isinstance(statement, (ast.Import, ast.ImportFrom)):
        return {(alias.asname or alias.name).split(".")[0] for alias in statement.names}
    names = {n.id for n in ast.walk(statement) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
    inner = (s for s in ast.walk(statement) if isinstance(s, ast.stmt) and s is not statement)
    return names.union(*(_binds(s) for s in inner)) if not isinstance(statement, ast.Assign) else names


def _imports(statements: list[Any], package: str) -> Iterator[str]:
    """Full names of the modules imported anywhere inside the statements."""
    for statement in statements:
        for node in ast.walk(statement):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                parts = package.split(".") if package else []
                base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
                name = ".".join(p for p in (base, node.module or "") if p)
                yield name
                yield from (f"{name}.{alias.name}" for alias in node.names)


@cache
def _source_file(module: str) -> Path | None:
    """The source of a project module; None for installed, built-in and unknown ones."""
    if module == "tidemill" or (module.startswith("tidemill.") and not module.startswith(_OWN_CODE)):
        return None
    if not _is_project(module.partition(".")[0]):
        return None
    origin = getattr(sys.modules.get(module), "__file__", None)
    if origin is None:
        try:
            spec = importlib.util.find_spec(module)
        except (ImportError, AttributeError, ValueError):
            return None
        origin = spec.origin if spec and spec.has_location else None
    if origin is None or not origin.endswith(".py"):
        return None
    return Path(origin).resolve()


@cache
def _is_project(top: str) -> bool:
    """Whether a top-level module is the user's (or tidemill) and not installed; imports nothing."""
    if top in sys.builtin_module_names or top in sys.stdlib_module_names:
        return False
    if top in ("tidemill", "__main__"):
        return True
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        return False
    places = [spec.origin, *(spec.submodule_search_locations or [])] if spec else []
    found = [str(Path(p).resolve()) for p in places if p]
    return bool(found) and not found[0].startswith(_INSTALLED)


def module_of(function: Callable[..., Any]) -> str:
    """The module a worker imports `function` from: for a script that runs now, its file's name."""
    if function.__module__ != "__main__":
        return function.__module__
    script = getattr(sys.modules["__main__"], "__file__", None)
    return Path(script).stem if script else "__main__"


def _package(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


@cache
def _parse(path: Path) -> ast.Module:
    return ast.parse(path.read_bytes(), filename=str(path))


def _plain(tree: ast.AST) -> str:
    """Source text of a tree without comments, formatting and docstrings."""
    for node in ast.walk(tree):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            match node.body:
                case [ast.Expr(value=ast.Constant(value=str())), *rest]:
                    node.body = rest or [ast.Pass()]
    return ast.unparse(tree)
