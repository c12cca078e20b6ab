"""As `code`, for code that no file holds: functions that were typed into a notebook or an interpreter.

Here the function itself is at hand. The digest covers its source, and in turn what it uses of the same
session: functions and classes by their source, plain values by value, project modules as a whole.
A value that cannot be compared (a table, a connection) makes every digest differ, so that nothing is
ever reused that might depend on it: pass such values as inputs.
"""

from __future__ import annotations

import ast
import dis
import hashlib
import inspect
import secrets
import sys
import textwrap
import types
from collections.abc import Callable, Iterator
from pathlib import PurePath
from typing import Any

from tidemill.dsl.code import modules_from, parsed
from tidemill.types.json import canonical, not_json

_MAIN = "__main__"
_TELLING = (PurePath, types.GenericAlias, types.UnionType)
"""Types of values that are what their text says."""


def digest_of(function: Callable[..., Any]) -> str:
    """Digest of a function of `__main__` and of all it uses, in hex."""
    sha = hashlib.sha256()
    for name, text in sorted(_Walk().of(function).items()):
        sha.update(f"{name}\0{text}\0".encode(errors="surrogatepass"))
    return sha.hexdigest()[:32]


def is_current(function: Callable[..., Any]) -> bool:
    """Whether its name still stands for this very function: it may have been defined anew since."""
    found: Any = sys.modules[_MAIN]
    for name in function.__qualname__.split("."):
        found = getattr(found, name, None)
    return getattr(found, "function", found) is function


class _Walk:
    """Collects what can be reached from one function: (name, text)."""

    def __init__(self) -> None:
        self.texts: dict[str, str] = {}
        self.modules: set[str] = set()
        self.seen: set[int] = set()

    def of(self, function: Any) -> dict[str, str]:
        self._visit(function.__qualname__, function)
        for name, text in modules_from(sorted(self.modules)):
            self.texts[name] = text
            # A module may have been edited since this session imported it. What runs is what is loaded.
            self.texts[f"{name} as loaded"] = repr(list(_loaded(sys.modules.get(name))))
        return self.texts

    def _visit(self, name: str, value: Any) -> None:
        if id(value) in self.seen and not_json(value):
            return
        self.seen.add(id(value))
        function = getattr(value, "function", None)  # of a component
        if isinstance(function, types.FunctionType):
            self.texts[f"{name} is made of"] = function.__qualname__
            self._visit(function.__qualname__, function)
        elif isinstance(value, types.ModuleType):
            self._module(name, value.__name__)
        elif isinstance(value, (types.FunctionType, type)) and value.__module__ == _MAIN:
            self._function(value) if isinstance(value, types.FunctionType) else self._class(value)
        elif callable(value) and isinstance(getattr(value, "__qualname__", None), str):
            self.texts[name] = f"{value.__module__}:{value.__qualname__}"
            self._module(name, str(value.__module__))
        else:
            self.texts[name] = _text_of(value)

    def _module(self, name: str, module: str) -> None:
        self.texts.setdefault(name, module)
        self.modules.add(module)

    def _function(self, function: types.FunctionType) -> None:
        tree = _tree(function)
        text = ast.unparse(tree) if tree is not None else repr(list(_instructions(function.__code__)))
        self.texts[function.__qualname__] = text
        defaults = [*enumerate(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).items()]
        for default_name, value in defaults:  # worth what they were when the function was defined
            self._visit(f"{function.__qualname__}({default_name})", value)
        for cell_name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
            self._visit(f"{function.__qualname__}/{cell_name}", cell.cell_contents)
        for name in sorted(set(_globals(function.__code__)) & function.__globals__.keys()):
            self._visit(name, function.__globals__[name])

    def _class(self, cls: type) -> None:
        self.texts[cls.__qualname__] = repr([f"{b.__module__}:{b.__qualname__}" for b in cls.__bases__])
        for base in cls.__bases__:
            self._visit(base.__qualname__, base)
        for name, value in sorted(vars(cls).items()):
            inner = inspect.unwrap(value) if isinstance(value, types.FunctionType) else value
            inner = getattr(inner, "__func__", inner)
            if name in ("__dict__", "__weakref__", "__doc__", "__firstlineno__", "__static_attributes__"):
                continue
            self._visit(f"{cls.__qualname__}.{name}", inner)


def _text_of(value: Any) -> str:
    if not not_json(value):
        return canonical(value).decode("utf-8", "surrogatepass")
    if isinstance(value, _TELLING) or type(value).__module__ in ("typing", "builtins", "re"):
        text = repr(value)
        if " at 0x" not in text:
            return text
    if type(value).__module__.startswith("tidemill."):
        return f"{type(value).__qualname__} {getattr(value, 'name', '')}"
    return secrets.token_hex(16)


def _tree(function: types.FunctionType) -> ast.Module | None:
    """The function's own source; None where nobody kept it."""
    try:
        return parsed(textwrap.dedent(inspect.getsource(function)))
    except (OSError, TypeError, SyntaxError):
        return None


def _instructions(code: types.CodeType) -> Iterator[Any]:
    yield code.co_code.hex()
    yield code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield list(_instructions(constant))
        else:  # sets have no order of their own
            yield sorted(map(repr, constant)) if isinstance(constant, frozenset) else repr(constant)


def _loaded(module: types.ModuleType | None) -> Iterator[Any]:
    """The functions and methods of a module as they are now."""
    if module is None:
        return
    for name, value in sorted(vars(module).items()):
        if getattr(value, "__module__", None) != module.__name__:
            continue
        value = getattr(value, "function", value)
        for inner in [value, *(vars(value).values() if isinstance(value, type) else ())]:
            inner = getattr(inner, "__func__", inner)
            if isinstance(inner, types.FunctionType):
                yield name, inner.__name__, list(_instructions(inner.__code__))


def _globals(code: types.CodeType) -> Iterator[str]:
    """Names that the code looks up in its module. Not what only looks like one: an attribute, a local."""
    for step in dis.get_instructions(code):
        if step.opname in ("LOAD_GLOBAL", "LOAD_NAME"):
            yield str(step.argval)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _globals(constant)
