"""What code a component runs, as a digest: the cache's answer to "did the code change?".

The digest covers the function, what it uses of its own module, and the whole of every project module
that is imported from there, directly or not. It is taken of the syntax tree without comments and
docstrings, so formatting never changes it; tidemill's own modules are taken as they stand. Source files
are read, never imported. Installed packages are not covered: pin them. Calls that are found only at run
time (`getattr`, `importlib`) are not seen.
"""

from __future__ import annotations

import ast
import hashlib
import importlib.util
import re
import sys
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from functools import cache
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from typing import Any

from tidemill.errors import did_you_mean

_OWN_CODE = ("tidemill.components.", "tidemill.data.", "tidemill.models.", "tidemill.training.")
"""Of tidemill itself only what executors run counts as code of a component."""
_OWN_FOLDER = Path(__file__).resolve().parent.parent
_OWN_IMPORTS = re.compile(
    r"^[ \t]*from[ \t]+(tidemill[\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n]*)", re.MULTILINE
)
"""Every import of ours has this form; tests/unit/dsl/test_code.py holds it against the syntax trees."""
_STANDARD_LIBRARY = Path(sysconfig.get_paths()["stdlib"]).resolve()
_PACKAGE_FOLDERS = {"site-packages", "dist-packages"}
_BLOCKS = ("body", "orelse", "finalbody", "handlers", "cases")
"""Fields of a syntax tree that hold statements, or what holds statements."""


def digest_of(ref: str) -> str:
    """Digest of the function `module:qualname` and of all project code it can reach, in hex.

    LookupError says which of the two cannot be found.
    """
    sha = hashlib.sha256()
    for name, text in sorted(dict(_reachable(ref)).items()):
        sha.update(f"{name}\0{text}\0".encode())
    return sha.hexdigest()[:32]


def files_of(ref: str) -> dict[str, Path]:
    """The source files that `digest_of` reads for a function, by module; LookupError as there."""
    modules = {name.partition(":")[0] for name, _ in _reachable(ref)}
    return {name: path for name in sorted(modules) if (path := _source_file(name)) is not None}


def sources_of(modules: Iterable[str]) -> tuple[dict[str, Path], set[str]]:
    """The project's source files that must be there for `modules` to be imported, by module, and the dotted
    names that these import of libraries.

    More than `files_of`: to use one function of a module all of it is imported, with the packages around it.
    tidemill's own modules are in neither. Names imported from a library's module are among the names, since
    only importing tells a module from a value.
    """
    files: dict[str, Path] = {}
    libraries, seen = set[str](), set[str]()
    pending = list(modules)
    while pending:
        name = pending.pop()
        top = name.partition(".")[0]
        if name in seen or not name or top == "tidemill" or top in sys.stdlib_module_names:
            continue
        seen.add(name)
        path = _source_file(name)
        if path is None:
            if _origin(top) is None or _is_library(top):
                libraries.add(name)
            continue
        files[name] = path
        pending += _parents(name)
        with suppress(SyntaxError):
            pending += _imports([_parse(path.read_bytes())], _package(name, path))
    return files, libraries


def _is_library(top: str) -> bool:
    """Whether a top-level module is installed, and not the project's."""
    origin = _origin(top)
    return origin is not None and _source_file(top) is None and (
        origin != "namespace" or _is_installed_namespace(top)
    )  # fmt: skip


def _is_installed_namespace(top: str) -> bool:
    spec = importlib.util.find_spec(top)
    places = list(spec.submodule_search_locations or []) if spec is not None else []
    return any(_is_installed(Path(place).resolve()) for place in places)


def module_of(function: Callable[..., Any]) -> str:
    """The module a worker imports `function` from; `__main__` when there is no file to import."""
    if function.__module__ != "__main__":
        return function.__module__
    main = sys.modules["__main__"]
    if main.__spec__ is not None:
        return main.__spec__.name
    script = getattr(main, "__file__", None)
    return Path(script).stem if script else "__main__"


def _reachable(ref: str) -> Iterator[tuple[str, str]]:
    """(name, normalised source) of the function, and of the modules it draws in."""
    module, _, qualname = ref.partition(":")
    path = _source_file(module)
    if path is None:
        if _origin(module) is None:
            raise LookupError(f"there is no module {module!r}")
        yield ref, ""
        return
    used = _used_definitions(_parse(path.read_bytes()), qualname.partition(".")[0])
    yield ref, "\n".join(ast.unparse(statement) for statement in used)
    yield from modules_from(_imports(used, _package(module, path)), but={module})


def modules_from(names: Iterable[str], but: Iterable[str] = ()) -> Iterator[tuple[str, str]]:
    """(name, normalised source) of the project modules among `names`, and of all that they import."""
    seen = set(but)
    pending = list(names)
    while pending:
        name = pending.pop()
        if name in seen:
            continue
        seen.add(name)
        if (path := _source_file(name)) is not None:
            read = _read_own if name.startswith(_OWN_CODE) else _read_module
            text, imports = read(path.read_bytes(), _package(name, path))
            yield name, text
            pending.extend(imports)


def parsed(source: str) -> ast.Module:
    """The tree of some source without what never matters, docstrings for one; SyntaxError if it has none."""
    return _parse(source.encode())


# --- within one module ----------------------------------------------------------------------------


def _used_definitions(tree: ast.Module, name: str) -> list[ast.stmt]:
    """The statements of a module that define `name` and, in turn, everything these mention."""
    touching: dict[str, list[ast.stmt]] = {}
    for statement in tree.body:
        if not _is_main_block(statement):
            for touched in _touches(statement):
                touching.setdefault(touched, []).append(statement)
    if name not in touching:
        raise LookupError(f"it has no {name!r}: {did_you_mean(name, touching)}".rstrip(": "))
    wanted, seen, used = [name, "*"], {name, "*"}, set()
    while wanted:
        for statement in touching.get(wanted.pop(), ()):
            used.add(statement)
            new = _names(statement) - seen
            seen |= new
            wanted.extend(new)
    return [statement for statement in tree.body if statement in used]


def _touches(statement: ast.AST) -> set[str]:
    """Names that a module-level statement binds, or whose values it may change. `*`: any name."""
    match statement:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return {name}
        case ast.Import(names=names) | ast.ImportFrom(names=names):
            return {(alias.asname or alias.name).partition(".")[0] for alias in names}
        case ast.Assign(targets=targets):
            return set().union(*map(_names, targets))
        case ast.AnnAssign(target=target) | ast.AugAssign(target=target):
            return _names(target)
        case ast.Expr():  # a call such as TABLE.update(...) or register(f)
            return _names(statement)
    found: set[str] = set()
    for part in ast.iter_child_nodes(statement):
        if isinstance(part, (ast.stmt, ast.ExceptHandler, ast.match_case)):
            found |= _touches(part)
        else:  # the head of an if, for or with
            found |= {
                n.id for n in ast.walk(part) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)
            }
    return found


def _names(tree: ast.AST) -> set[str]:
    return {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}


def _is_main_block(statement: ast.stmt) -> bool:
    """`if __name__ == "__main__":`, which a worker never runs."""
    return isinstance(statement, ast.If) and ast.unparse(statement.test) == "__name__ == '__main__'"


@cache
def _parse(source: bytes) -> ast.Module:
    """The tree without docstrings, nor other texts that stand alone, which do nothing either."""
    tree = ast.parse(source)
    for node in (tree, *_statements(tree)):
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)):
            node.body = [s for s in node.body if not _is_text(s)] or [ast.Pass()]
    return tree


def _statements(tree: ast.AST) -> Iterator[ast.stmt]:
    """Every statement inside of a tree, at any depth: a tenth of the nodes that `ast.walk` goes through."""
    pending = [tree]
    while pending:
        node = pending.pop()
        for name in _BLOCKS:
            for part in getattr(node, name, ()):
                pending.append(part)
                if isinstance(part, ast.stmt):
                    yield part


def _is_text(statement: ast.stmt) -> bool:
    match statement:
        case ast.Expr(value=ast.Constant(value=str())):
            return True
    return False


# --- between modules ------------------------------------------------------------------------------


@cache
def _read_module(source: bytes, package: str) -> tuple[str, frozenset[str]]:
    """Normalised text of a module and the names of what it imports; bytes that do not parse are text."""
    try:
        tree = _parse(source)
    except SyntaxError:
        return repr(source), frozenset()
    return ast.unparse(tree), frozenset(_imports([tree], package))


@cache
def _read_own(source: bytes, package: str) -> tuple[str, frozenset[str]]:
    """The same for a module of tidemill's, as it stands: a release does not change, and there are so many of
    them behind a standard component that parsing each would take most of the time of compiling."""
    del package  # the imports are absolute there
    text = source.decode()
    found = set[str]()
    for module, names in _OWN_IMPORTS.findall(text):
        found.add(module)
        if (path := _own_file(module)) is not None and path.name == "__init__.py":
            found.update(f"{module}.{name}" for name in re.findall(r"\w+", names))
    return text, frozenset(found)


@cache
def _own_file(module: str) -> Path | None:
    """The source of a module of tidemill's; None when it is none."""
    base = _OWN_FOLDER.joinpath(*module.split(".")[1:])
    places = (base.with_suffix(".py"), base / "__init__.py")
    return next((place for place in places if place.is_file()), None)


def _imports(trees: Iterable[ast.AST], package: str) -> Iterator[str]:
    """Full names of the modules that may be imported anywhere inside the trees."""
    for node in (node for tree in trees for node in (tree, *_statements(tree))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.asname is None:  # `import a.b` gives a, with all it holds
                    yield from _parents(alias.name)
        elif isinstance(node, ast.ImportFrom):
            parts = package.split(".") if package else []
            base = ".".join(parts[: len(parts) - node.level + 1]) if node.level else ""
            name = ".".join(p for p in (base, node.module or "") if p)
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


def _parents(module: str) -> Iterator[str]:
    while module := module.rpartition(".")[0]:
        yield module


def _package(module: str, path: Path) -> str:
    return module if path.name == "__init__.py" else module.rpartition(".")[0]


def _source_file(module: str) -> Path | None:
    """The source of a project module; None for installed, built-in and unknown ones."""
    top = module.partition(".")[0]
    if top == "tidemill":
        return _own_file(module) if module.startswith(_OWN_CODE) else None
    origin = _origin(module)
    if origin is None or not origin.endswith(".py"):
        return None
    path = Path(origin).resolve()
    return None if _is_installed(path) else path


def _is_installed(path: Path) -> bool:
    return not _PACKAGE_FOLDERS.isdisjoint(path.parts) or path.is_relative_to(_STANDARD_LIBRARY)


def _origin(module: str) -> str | None:
    """Where a module comes from: a file, or a word for built-in ones. None when it is not found."""
    top = module.partition(".")[0]
    loaded = sys.modules.get(module)
    if top in sys.stdlib_module_names:
        return "standard library"
    if loaded is not None and getattr(loaded, "__file__", None):
        return str(loaded.__file__)
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a loaded module without a spec, and without a file
        return None
    if spec is not None and spec.origin is not None and _is_installed(Path(spec.origin).resolve()):
        return spec.origin
    return _file_of(_inside(spec, module))


def _inside(spec: ModuleSpec | None, module: str) -> ModuleSpec | None:
    """The spec of a module below a top-level package. `find_spec` would import the packages between."""
    parts = module.split(".")
    for end in range(2, len(parts) + 1):
        places = spec.submodule_search_locations if spec is not None else None
        if places is None:
            return None
        spec = PathFinder.find_spec(".".join(parts[:end]), list(places))
    return spec


def _file_of(spec: ModuleSpec | None) -> str | None:
    if spec is None:
        return None
    return spec.origin or "namespace"
