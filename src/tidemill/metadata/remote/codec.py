"""Values of the record as plain JSON and back, exactly: the types in the annotations say how.

A value comes back equal and of the same types: 1, 1.0 and True are three things, integers have any size,
text any character. What JSON lacks is an object with one key that begins with `$`. A field that has its
default is left out, and what is left out has its default, so either end may be older than the other:
answers may have fields that the reader does not know; requests may not, for what they ask would be lost.
This file knows no method, and neither a database nor a socket.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from enum import Enum, IntEnum
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from tidemill.errors import did_you_mean

_FLOAT, _PLAIN = "$float", "$plain"
_NAMES: dict[type, str] = {
    dict: "an object", list: "a list", str: "text", bool: "a truth value", int: "an integer",
    float: "a number", type(None): "null",
}  # fmt: skip


class Malformed(ValueError):
    """A value that is not of the type it should be, and where it stands."""

    def __init__(self, what: str, path: tuple[str, ...] = ()) -> None:
        super().__init__(what)
        self.what = what
        self.path = path

    def __str__(self) -> str:
        return f"{'.'.join(self.path)} {self.what}" if self.path else self.what


@dataclass(frozen=True, slots=True)
class Form:
    """How values of one type travel. Both functions raise Malformed."""

    pack: Callable[[Any], Any]
    """Value -> plain JSON."""
    unpack: Callable[[Any, bool], Any]
    """(plain JSON, whether fields that are not known are refused) -> value."""


def form(annotation: Any) -> Form:
    """The form of a type. TypeError for one that does not travel."""
    try:
        return _form(annotation)
    except TypeError as error:
        raise TypeError(f"{annotation!r} does not travel: {error}") from None


@cache
def _form(annotation: Any) -> Form:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if annotation is Any:
        return Form(_pack_json, lambda plain, _: _unpack_json(plain))
    if annotation in (str, bool, int, type(None), None):
        return _scalar(type(None) if annotation is None else annotation)
    if annotation is float:
        return Form(_pack_float, lambda plain, _: _unpack_float(plain))
    if origin in (Union, types.UnionType):
        return _union(arguments)
    if origin is Literal:
        return _literal(arguments)
    if origin in (list, Sequence, Iterable, Collection):
        return _list(_form(arguments[0]), list)
    if origin in (set, frozenset, AbstractSet):
        return _list(_form(arguments[0]), frozenset)
    if origin is tuple:
        return _list(_form(arguments[0]), tuple) if arguments[-1] is ... else _tuple(arguments)
    if origin in (dict, Mapping):
        return _mapping(arguments[0], _form(arguments[1]))
    if isinstance(annotation, type) and issubclass(annotation, Enum):
        return _enum(annotation)
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _record(annotation)
    raise TypeError("the codec has no form for it")


def _is_a(value: Any, kind: type) -> bool:
    """Whether a value is of a kind; a truth value is no integer."""
    return isinstance(value, kind) and (kind is bool or not isinstance(value, bool))


def _wrong(value: Any, wanted: str) -> Malformed:
    return Malformed(f"is {_NAMES.get(type(value), f'a {type(value).__name__}')}, not {wanted}")


def _scalar(kind: type) -> Form:
    name = _NAMES[kind]

    def check(value: Any) -> Any:
        if not _is_a(value, kind):
            raise _wrong(value, name)
        return value

    return Form(check, lambda plain, _: check(plain))


def _pack_float(value: Any) -> Any:
    if not _is_a(value, float) and not _is_a(value, int):
        raise _wrong(value, "a number")
    number = float(value)
    return number if math.isfinite(number) else {_FLOAT: str(number)}


def _unpack_float(plain: Any) -> float:
    if isinstance(plain, dict) and plain.keys() == {_FLOAT} and plain[_FLOAT] in ("nan", "inf", "-inf"):
        return float(plain[_FLOAT])
    if not _is_a(plain, float) and not _is_a(plain, int):
        raise _wrong(plain, "a number")
    return float(plain)


def _union(arguments: tuple[Any, ...]) -> Form:
    """One of several types. A float is tried after an int, so that 1 stays 1."""
    ordered = sorted(arguments, key=lambda a: (a is not type(None), a is float))
    forms = [_form(a) for a in ordered]
    scalars = {a: f for a, f in zip(ordered, forms, strict=True) if isinstance(a, type)}
    names = ", ".join(_NAMES.get(a, getattr(a, "__name__", str(a))) for a in arguments)

    def pack(value: Any) -> Any:
        if (exact := scalars.get(type(value))) is not None:
            return exact.pack(value)
        for kind, each in zip(ordered, forms, strict=True):
            if kind is float and int in ordered and not _is_a(value, float):
                continue  # a float alone would take an integer, too
            try:
                return each.pack(value)
            except Malformed as error:
                if error.path:
                    raise
        raise _wrong(value, f"one of {names}")

    def unpack(plain: Any, strict: bool) -> Any:
        if (exact := scalars.get(type(plain))) is not None:
            return exact.unpack(plain, strict)
        for each in forms:
            try:
                return each.unpack(plain, strict)
            except Malformed as error:
                if error.path:
                    raise
        raise _wrong(plain, f"one of {names}")

    return Form(pack, unpack)


def _literal(choices: tuple[Any, ...]) -> Form:
    def check(value: Any) -> Any:
        if value not in choices:
            raise Malformed(f"is none of {', '.join(map(repr, choices))}")
        return value

    return Form(check, lambda plain, _: check(plain))


def _enum(kind: type[Enum]) -> Form:
    """Numbers by name, as people read them; texts as they are."""
    by_name = {(m.name if issubclass(kind, IntEnum) else m.value): m for m in kind}

    def pack(value: Any) -> Any:
        if not isinstance(value, kind):
            raise _wrong(value, kind.__name__)
        return value.name if issubclass(kind, IntEnum) else value.value

    def unpack(plain: Any, _: bool) -> Any:
        if not isinstance(plain, str) or plain not in by_name:
            raise Malformed(f"is no {kind.__name__}: {str(plain)[:60]!r}")
        return by_name[plain]

    return Form(pack, unpack)


def _list(item: Form, make: Callable[[Iterable[Any]], Any]) -> Form:
    def pack(value: Any) -> Any:
        if isinstance(value, (str, bytes, Mapping)) or not isinstance(value, Iterable):
            raise _wrong(value, "a list")
        return [_at(str(i), item.pack, each) for i, each in enumerate(value)]

    def unpack(plain: Any, strict: bool) -> Any:
        if not isinstance(plain, list):
            raise _wrong(plain, "a list")
        return make([_at(str(i), item.unpack, each, strict) for i, each in enumerate(plain)])

    return Form(pack, unpack)


def _tuple(arguments: tuple[Any, ...]) -> Form:
    """A tuple of a fixed length."""
    forms = [_form(a) for a in arguments]

    def pack(value: Any) -> Any:
        if not isinstance(value, tuple) or len(value) != len(forms):
            raise _wrong(value, f"a tuple of {len(forms)}")
        return [_at(str(i), f.pack, each) for i, (f, each) in enumerate(zip(forms, value, strict=True))]

    def unpack(plain: Any, strict: bool) -> Any:
        if not isinstance(plain, list) or len(plain) != len(forms):
            raise _wrong(plain, f"a list of {len(forms)}")
        pairs = enumerate(zip(forms, plain, strict=True))
        return tuple(_at(str(i), f.unpack, each, strict) for i, (f, each) in pairs)

    return Form(pack, unpack)


def _mapping(key: Any, item: Form) -> Form:
    """An object. Keys that are integers travel as their digits."""
    if key not in (str, int):
        raise TypeError("keys are text or integers")

    def read_key(text: str) -> Any:
        if key is str:
            return text
        try:
            return int(text)
        except ValueError:
            raise Malformed("is a key that is not an integer", (text[:60],)) from None

    def pack(value: Any) -> Any:
        if not isinstance(value, Mapping):
            raise _wrong(value, "an object")
        for name in value:
            if not _is_a(name, key):
                raise Malformed(f"has the key {name!r}, which is not {_NAMES[key]}")
        return {str(name): _at(str(name), item.pack, each) for name, each in value.items()}

    def unpack(plain: Any, strict: bool) -> Any:
        if not isinstance(plain, dict):
            raise _wrong(plain, "an object")
        return {read_key(name): _at(name, item.unpack, each, strict) for name, each in plain.items()}

    return Form(pack, unpack)


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a record, or an argument of a method."""

    name: str
    form: Form
    default: Any = dataclasses.MISSING

    def is_default(self, value: Any) -> bool:
        """Whether the value needs not be sent: it is the default, and not merely equal to it."""
        return value is self.default or (type(value) is type(self.default) and bool(value == self.default))


def pack_fields(fields: Sequence[Field], value_of: Callable[[str], Any]) -> dict[str, Any]:
    """Fields as a JSON object, without those that have their default."""
    packed = {}
    for field in fields:
        value = value_of(field.name)
        if not field.is_default(value):
            packed[field.name] = _at(field.name, field.form.pack, value)
    return packed


def unpack_fields(fields: Mapping[str, Field], plain: Any, strict: bool) -> dict[str, Any]:
    """Inverse of `pack_fields`: the fields that are given. Malformed when one without a default is not."""
    if not isinstance(plain, dict):
        raise _wrong(plain, "an object")
    if strict:
        for name in plain:
            if name not in fields:
                hint = did_you_mean(name[:60], fields)
                raise Malformed(f"is not known here; {hint}" if hint else "is not known here", (name[:60],))
    found = {}
    for name, field in fields.items():
        if name in plain:
            found[name] = _at(name, field.form.unpack, plain[name], strict)
        elif field.default is dataclasses.MISSING:
            raise Malformed("is missing", (name,))
    return found


def _record(kind: type[Any]) -> Form:
    hints = get_type_hints(kind)
    fields = []
    for each in dataclasses.fields(kind):
        default = each.default
        if each.default_factory is not dataclasses.MISSING:
            default = each.default_factory()
        fields.append(Field(each.name, _form(hints[each.name]), default))
    by_name = {field.name: field for field in fields}

    def pack(value: Any) -> Any:
        if not isinstance(value, kind):
            raise _wrong(value, kind.__name__)
        return pack_fields(fields, lambda name: getattr(value, name))

    def unpack(plain: Any, strict: bool) -> Any:
        return kind(**unpack_fields(by_name, plain, strict))

    return Form(pack, unpack)


def _at(step: str, function: Callable[..., Any], *arguments: Any) -> Any:
    """Call a function; what it finds malformed stands one step deeper."""
    try:
        return function(*arguments)
    except Malformed as error:
        raise Malformed(error.what, (step, *error.path)) from None


# --- values of any JSON shape --------------------------------------------------------------------


def _pack_json(value: Any) -> Any:
    """JSON as Python's `json` would write and read it: tuples are lists, keys are text."""
    try:
        return _escaped(json.loads(json.dumps(value, sort_keys=True)))
    except (TypeError, ValueError, RecursionError) as error:
        raise Malformed(f"is not JSON: {error}") from None


def _escaped(value: Any) -> Any:
    if isinstance(value, float):
        return _pack_float(value)
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, dict):
        escaped = {name: _escaped(each) for name, each in value.items()}
        return {_PLAIN: escaped} if any(name.startswith("$") for name in value) else escaped
    return value


def _unpack_json(plain: Any) -> Any:
    if isinstance(plain, list):
        return [_unpack_json(each) for each in plain]
    if isinstance(plain, dict):
        if plain.keys() == {_FLOAT}:
            return _unpack_float(plain)
        inner = plain[_PLAIN] if plain.keys() == {_PLAIN} and isinstance(plain[_PLAIN], dict) else plain
        return {name: _unpack_json(each) for name, each in inner.items()}
    return plain
