"""Whether what is passed to a parameter fits its annotation: the type check that runs at compile time.

Type checkers find the same mistakes earlier, but not everybody runs one, and lists of settings often
come from a file. Placeholders are judged by the type of the value they will have.
"""

from __future__ import annotations

import collections.abc
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Annotated, Any

from tidemill.dsl.placeholder import Placeholder, SourceFiles, split_text
from tidemill.types.artifact import Artifact
from tidemill.types.json import not_json
from tidemill.types.source import FileSet

_UNIONS = (typing.Union, types.UnionType)
_PLAIN = (int, float, str, bool, bytes, type(None))
_LISTS = (list, tuple, collections.abc.Sequence, collections.abc.Iterable, collections.abc.Collection)
_DICTS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)


def mismatch(value: Any, annotation: Any) -> str:
    """Why `value`, plain or with placeholders, does not fit the annotation; empty when it does."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is Annotated:
        return mismatch(value, args[0])
    if isinstance(value, Placeholder):
        return _placeholder_mismatch(value, annotation)
    if isinstance(value, str) and "\0" in value:
        return _text_mismatch(value, annotation)
    if origin in _UNIONS:
        found = [mismatch(value, arg) for arg in args]
        return "" if "" in found else _nested_reason(found) or _expected(annotation, value)
    if origin is typing.Literal:
        fits = any(type(arg) is type(value) and arg == value for arg in args)
        return "" if fits else _expected(annotation, value)
    if (origin or annotation) is collections.abc.Callable:
        return "" if callable(value) else _expected(annotation, value)
    if isinstance(value, (list, tuple)):
        if not _takes_any(annotation) and (origin or annotation) not in _LISTS:
            return _expected(annotation, value)
        return _items_mismatch(value, origin, args, annotation)
    if isinstance(value, Mapping):
        if (origin or annotation) in (*_PLAIN, *_LISTS, FileSet):
            return _expected(annotation, value)
        return _entries_mismatch(value, args[1] if len(args) == 2 else Any)
    return _plain_mismatch(value, annotation, origin)


def _plain_mismatch(value: Any, annotation: Any, origin: Any) -> str:
    if annotation is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return not_json(value, "it")
    if annotation in _PLAIN:
        return not_json(value, "it") if type(value) is annotation else _expected(annotation, value)
    wanted = origin or annotation
    if wanted in _LISTS or (isinstance(wanted, type) and issubclass(wanted, collections.abc.Mapping)):
        return _expected(annotation, value)
    return _expected(annotation, value) if annotation is FileSet else not_json(value, "it")


def _takes_any(annotation: Any) -> bool:
    return annotation is Any or annotation is object


def _items_mismatch(value: Iterable[Any], origin: Any, args: tuple[Any, ...], annotation: Any) -> str:
    items = list(value)
    wanted = [args[0] if args else Any] * len(items)
    if origin is tuple and args and args[-1] is not Ellipsis:
        if len(args) != len(items):
            return _expected(annotation, value)
        wanted = list(args)
    found = (_at(i, mismatch(v, a)) for i, (v, a) in enumerate(zip(items, wanted, strict=True)))
    return next(filter(None, found), "")


def _entries_mismatch(value: Mapping[Any, Any], item: Any) -> str:
    for key, entry in value.items():
        if not isinstance(key, str) or "\0" in key:
            shown = repr(key) if not isinstance(key, str) else "one with a placeholder in it"
            return f"keys must be plain str, got {shown}"
        if why := not_json(key, "a key") or _at(key, mismatch(entry, item)):
            return why
    return ""


def _at(key: Any, why: str) -> str:
    return f"at [{key!r}]: {why}" if why else ""


def _nested_reason(found: list[str]) -> str:
    """The most telling of several reasons: the one that goes inside the value."""
    return next((why for why in found if why.startswith("at [")), "")


# --- placeholders ---------------------------------------------------------------------------------


def _placeholder_mismatch(value: Placeholder, annotation: Any) -> str:
    kind = value.kind()
    if kind is None:
        return ""
    if issubclass(kind, Artifact):
        return f"{value.describe()} is {kind.TYPE_NAME}, which holds no plain value"
    if kind is bytes:
        return f"{value.describe()} is bytes, which cannot be a parameter; take it as Input[Bytes]"
    if not _accepts(annotation, kind):
        return f"expected {_shown(annotation)}, but {value.describe()} is {kind.__name__}"
    return _files_mismatch(value) if isinstance(value, SourceFiles) else ""


def _files_mismatch(value: SourceFiles) -> str:
    if type(value.window) is not int or value.window < 1:
        return f"files(...): window is {value.window!r}; it must be a number of days or spans"
    for name, annotation in (("pattern", str), ("date", str | None), ("span", int | None)):
        if why := mismatch(getattr(value, name), annotation):
            return f"files(...): {name}: {why}"
    return ""


def _text_mismatch(value: str, annotation: Any) -> str:
    if any(isinstance(part, str) and "\0" in part for part in split_text(value)):
        return "a text with a placeholder in it was changed, or it holds a NUL character"
    return "" if _accepts(annotation, str) else f"expected {_shown(annotation)}, got a text"


def _accepts(annotation: Any, kind: type) -> bool:
    """Whether values of the type `kind` may fit."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if _takes_any(annotation):
        return True
    if origin is Annotated:
        return _accepts(args[0], kind)
    if origin in _UNIONS:
        return any(_accepts(arg, kind) for arg in args)
    if origin is typing.Literal:
        return any(type(arg) is kind for arg in args)
    if kind is list:
        return (origin or annotation) in _LISTS
    return annotation is kind or (annotation is float and kind is int)


# --- messages -------------------------------------------------------------------------------------


def _expected(annotation: Any, value: Any) -> str:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else shown[:57] + "..."
    return f"expected {_shown(annotation)}, got {type(value).__name__} {shown}"


def _shown(annotation: Any) -> str:
    """The annotation as people write it, alike in every version of Python."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in _UNIONS:
        return " | ".join(map(_shown, args))
    if origin is Annotated:
        return _shown(args[0])
    if origin is typing.Literal:
        return f"Literal[{', '.join(map(repr, args))}]"
    if (origin or annotation) is collections.abc.Callable:
        return "a function"
    if args:
        return f"{origin.__name__}[{', '.join(map(_shown, args))}]"
    special: dict[Any, str] = {type(None): "None", Ellipsis: "...", FileSet: "files(...)"}
    return special[annotation] if annotation in special else getattr(annotation, "__name__", str(annotation))
