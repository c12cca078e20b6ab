"""Each operation in ONNX's words: a function, or the reason why there are none.

A function gets the builder, the input columns and the parameters (with `type`, that of the result), and gives
the result; nulls of inputs are handed on by the caller unless the operation decides about nulls itself. The
rules are those of the numpy kernels: a property test holds both equal.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tidemill.data.transform.onnx_build import Builder, Cannot, Col
from tidemill.data.transform.onnx_time import OPERATORS as TIMES
from tidemill.data.transform.values import element

Params = Mapping[str, Any]
Operator = Callable[[Builder, list[Col], Params], Col]
TEXTS = "ONNX has no such operator on text, or one that knows other letters"
RAGGED = "it is about lists of any length, and ONNX knows tensors only"


def _plain(kind: str) -> Operator:
    """An operator of ONNX that means what ours means."""
    return lambda b, x, _: Col(b.op(kind, *(c.data for c in x)), width=x[0].width)


def _compare(kind: str) -> Operator:
    def made(b: Builder, x: list[Col], p: Params) -> Col:
        if kind != "Equal" and p["types"][0] == "string":
            raise Cannot("an order of texts (ONNX compares texts for equality only)")
        return Col(b.op(kind, x[0].data, x[1].data))

    return made


def _div(b: Builder, x: list[Col], _p: Params) -> Col:
    return Col(b.op("Div", *(_double(b, c.data) for c in x)))


def _double(b: Builder, name: str) -> str:
    return b.op("Cast", name, to=_type("float"))


def _type(type: str) -> int:
    from tidemill.data.transform.onnx_build import onnx_type

    return onnx_type(type)


def _mod(b: Builder, x: list[Col], p: Params) -> Col:
    a, d = x[0].data, x[1].data
    kind = p["types"][0]
    zero = b.const(0, kind)
    if kind == "int":
        wrong = b.op("Equal", d, zero)
        found = b.op("Mod", a, b.op("Where", wrong, b.const(1, "int"), d))
        return Col(found, b.op("Not", wrong))
    rest = b.op("Mod", a, d, fmod=1)
    apart = b.op("Xor", b.op("Less", rest, zero), b.op("Less", d, zero))
    apart = b.op("And", apart, b.op("Not", b.op("Equal", rest, zero)))
    return Col(b.op("Where", apart, b.op("Add", rest, d), rest))


def _extreme(kind: str) -> Operator:
    def made(b: Builder, x: list[Col], p: Params) -> Col:
        first = b.op(kind, x[0].data, x[1].data)
        if p["type"] == "float":
            first = b.op("Or", first, b.op("IsNaN", x[0].data))
        return Col(b.op("Where", first, x[0].data, x[1].data))

    return made


def _clip(b: Builder, x: list[Col], p: Params) -> Col:
    found, kind = x[0].data, element(p["type"]) or p["type"]
    for bound, beyond in ((p["lower"], "Less"), (p["upper"], "Greater")):
        if bound is not None:
            edge = b.const(bound, kind)
            found = b.op("Where", b.op(beyond, found, edge), edge, found)
    return Col(found, width=x[0].width)


def _log1p(b: Builder, x: list[Col], _p: Params) -> Col:
    """Kahan's form: log(u) * (x / (u - 1)) with u = 1 + x, which loses nothing near 0."""
    one, a = b.const(1.0, "float"), x[0].data
    u = b.op("Add", a, one)
    near = b.op("Equal", u, one)
    less = b.op("Where", near, one, b.op("Sub", u, one))
    found = b.op("Mul", b.op("Log", u), b.op("Div", a, less))
    found = b.op("Where", near, a, found)
    return Col(b.op("Where", b.op("IsInf", u, detect_negative=0), u, found), width=x[0].width)


def _round(b: Builder, x: list[Col], p: Params) -> Col:
    decimals = p["decimals"]
    if not decimals:
        return Col(b.op("Round", x[0].data), width=x[0].width)
    factor = b.const(10.0**decimals, "float")
    scaled = b.op("Mul", x[0].data, factor)
    odd = b.op("Or", b.op("IsNaN", scaled), b.op("IsInf", scaled))
    return Col(b.op("Where", odd, x[0].data, b.op("Div", b.op("Round", scaled), factor)), width=x[0].width)


def _is_finite(b: Builder, x: list[Col], _p: Params) -> Col:
    return Col(b.op("Not", b.op("Or", b.op("IsNaN", x[0].data), b.op("IsInf", x[0].data))))


def _is_in(b: Builder, x: list[Col], p: Params) -> Col:
    values, kind = p["values"], p["types"][0]
    if not values:
        return Col(b.every_row(b.const(False, "bool")))
    found = b.op("Equal", b.column(x[0].data), b.const(values, kind))
    return Col(_any(b, found))


def _any(b: Builder, matrix: str) -> str:
    counts = b.op("ReduceSum", b.op("Cast", matrix, to=_type("int")), b.const(1, "int"), keepdims=0)
    return b.op("Greater", counts, b.const(0, "int"))


def _and(b: Builder, x: list[Col], _p: Params) -> Col:
    found = b.op("And", _true(b, x[0]), _true(b, x[1]))
    return Col(found, _decided(b, x, [_false(b, c) for c in x]))


def _or(b: Builder, x: list[Col], _p: Params) -> Col:
    true = [_true(b, c) for c in x]
    return Col(b.op("Or", *true), _decided(b, x, true))


def _decided(b: Builder, x: list[Col], enough: Sequence[str]) -> str:
    both = b.all_of([c.valid for c in x])
    return b.op("Or", both, b.op("Or", *enough)) if both else ""


def _true(b: Builder, x: Col) -> str:
    return b.all_of([x.data, x.valid])


def _false(b: Builder, x: Col) -> str:
    return b.all_of([b.op("Not", x.data), x.valid])


def _where(b: Builder, x: list[Col], p: Params) -> Col:
    condition, a, c = _true(b, x[0]), x[1], x[2]
    valid = ""
    if a.valid or c.valid:
        yes = b.every_row(b.const(True, "bool"))
        valid = b.choose(condition, a.valid or yes, c.valid or yes, "bool")
    return Col(b.choose(condition, a.data, c.data, p["type"]), valid)


def _is_null(b: Builder, x: list[Col], _p: Params) -> Col:
    return Col(b.op("Not", x[0].valid) if x[0].valid else b.every_row(b.const(False, "bool")))


def _fill_null(b: Builder, x: list[Col], p: Params) -> Col:
    if not x[0].valid:
        return x[0]
    valid = b.op("Or", x[0].valid, x[1].valid) if x[1].valid else ""
    return Col(b.choose(x[0].valid, x[0].data, x[1].data, p["type"]), valid)


def _cast(b: Builder, x: list[Col], p: Params) -> Col:
    source, to = p["types"][0], p["to"]
    a = x[0]
    if source == to:
        return a
    match source, to:
        case ("empty", _):
            return b.constant(None, to)
        case ("bool", "string"):
            return Col(b.op("Where", a.data, b.const("true", "string"), b.const("false", "string")), a.valid)
        case ("int", "string") | ("int" | "bool", "float") | ("int", "bool") | ("bool", "int"):
            return Col(b.op("Cast", a.data, to=_type(to)), a.valid)
        case ("float", "int"):
            fits = b.op(
                "And",
                b.op("GreaterOrEqual", a.data, b.const(-(2.0**63), "float")),
                b.op("Less", a.data, b.const(2.0**63, "float")),
            )
            safe = b.op("Where", fits, a.data, b.const(0.0, "float"))
            return Col(b.op("Cast", safe, to=_type("int")), b.all_of([a.valid, fits]))
    raise Cannot(f"cast of {source} to {to} (ONNX has other rules for it)")


def _concat(b: Builder, x: list[Col], p: Params) -> Col:
    found = x[0].data
    for column in x[1:]:
        if p["separator"]:
            found = b.op("StringConcat", found, b.const(p["separator"], "string"))
        found = b.op("StringConcat", found, column.data)
    return Col(found)


def _regex_full_match(b: Builder, x: list[Col], p: Params) -> Col:
    return Col(b.op("RegexFullMatch", x[0].data, pattern=p["pattern"]))


def _stack(b: Builder, x: list[Col], _p: Params) -> Col:
    return Col(b.op("Concat", *(b.column(c.data) for c in x), axis=1), width=len(x))


def _one_hot(b: Builder, x: list[Col], p: Params) -> Col:
    here = b.op("Equal", b.column(x[0].data), b.const(np.arange(p["depth"]), "int"))
    if x[0].valid:
        here = b.op("And", here, b.column(x[0].valid))
    return Col(_double(b, here), width=p["depth"])


def _reduced(kind: str) -> Operator:
    def made(b: Builder, x: list[Col], _p: Params) -> Col:
        axis = b.const(1, "int")
        found = b.op(kind, x[0].data, axis, keepdims=0)
        if kind in ("ReduceMin", "ReduceMax"):  # NaN wins, on which ONNX is silent
            odd = _any(b, b.op("IsNaN", x[0].data))
            found = b.op("Where", odd, b.const(np.nan, "float"), found)
        return Col(found)

    return made


def _list_length(b: Builder, x: list[Col], _p: Params) -> Col:
    return Col(b.every_row(b.const(x[0].width, "int")))


def _list_get(b: Builder, x: list[Col], p: Params) -> Col:
    index, width = p["index"], x[0].width
    if not -width <= index < width:
        return b.constant(None, p["type"])
    at = b.op("Gather", x[0].data, b.const(index % width, "int"), axis=1)
    return Col(b.op("Squeeze", at, b.const(1, "int")))


def _scale(b: Builder, x: list[Col], p: Params) -> Col:
    # not as constants of one element: ONNX Runtime's optimizer rounds those to 32 bits to see whether
    # they are 0 or 1, and leaves the operation out
    middle, spread = (b.every_row(b.const(p[name], "float")) for name in ("middle", "spread"))
    if x[0].width:
        middle, spread = b.column(middle), b.column(spread)
    return Col(b.op("Div", b.op("Sub", x[0].data, middle), spread), width=x[0].width)


def _places(b: Builder, key: Col, keys: Sequence[str]) -> tuple[str, str]:
    """The place of each key in `keys`, 0 for an unknown one; and whether it is known."""
    if not keys:
        return b.every_row(b.const(0, "int")), b.every_row(b.const(False, "bool"))
    at = _encoded(b, key.data, keys, -1)
    known = b.op("GreaterOrEqual", at, b.const(0, "int"))
    return b.op("Where", known, at, b.const(0, "int")), known


def _encoded(b: Builder, texts: str, terms: Sequence[str], default: int) -> str:
    return b.op(
        "LabelEncoder",
        texts,
        domain="ai.onnx.ml",
        keys_strings=list(terms),
        values_int64s=list(range(len(terms))),
        default_int64=default,
    )


def _scale_by_key(b: Builder, x: list[Col], p: Params) -> Col:
    at, known = _places(b, x[1], p["keys"])
    middle = b.op("Gather", b.const(p["table"][:, 0], "float"), at)
    spread = b.op("Gather", b.const(p["table"][:, 1], "float"), at)
    return Col(b.op("Div", b.op("Sub", x[0].data, middle), spread), known)


def _apply_buckets(b: Builder, x: list[Col], p: Params) -> Col:
    if x[0].width:
        raise Cannot("apply_buckets of a vector (values that are NaN would be left out)")
    valid = b.op("Not", b.op("IsNaN", x[0].data))
    if not len(p["edges"]):
        return Col(b.every_row(b.const(0, "int")), valid)
    above = b.op("GreaterOrEqual", b.column(x[0].data), b.const(p["edges"], "float"))
    return Col(_counted(b, above), valid)


def _counted(b: Builder, matrix: str) -> str:
    return b.op("ReduceSum", b.op("Cast", matrix, to=_type("int")), b.const(1, "int"), keepdims=0)


def _apply_buckets_by_key(b: Builder, x: list[Col], p: Params) -> Col:
    at, known = _places(b, x[1], p["keys"])
    edges: list[Any] = p["edges"]
    valid = b.op("And", known, b.op("Not", b.op("IsNaN", x[0].data)))
    most = max((len(found) for found in edges), default=0)
    if not most:
        return Col(b.every_row(b.const(0, "int")), valid)
    table, there = np.zeros((len(edges), most)), np.zeros((len(edges), most), dtype=np.bool_)
    for row, found in enumerate(edges):
        table[row, : len(found)], there[row, : len(found)] = found, True
    above = b.op("GreaterOrEqual", b.column(x[0].data), b.op("Gather", b.const(table, "float"), at))
    return Col(_counted(b, b.op("And", above, b.op("Gather", b.const(there, "bool"), at))), valid)


def _apply_vocabulary(b: Builder, x: list[Col], p: Params) -> Col:
    if p["oov_buckets"]:
        raise Cannot("apply_vocabulary with num_oov_buckets (ONNX cannot hash text)")
    if not p["values"]:
        return Col(b.every_row(b.const(p["default"], "int")))
    return Col(_encoded(b, x[0].data, p["values"], p["default"]))


def _project(b: Builder, x: list[Col], p: Params) -> Col:
    mean = b.const(p["mean"], "float")
    if len(p["mean"]) == 1:  # as in `_scale`
        mean = b.column(b.every_row(mean))
    apart = b.op("Sub", x[0].data, mean)
    return Col(b.op("MatMul", apart, b.const(p["axes"], "float")), width=p["axes"].shape[1])


OPERATORS: dict[str, Operator | str] = {
    "add": _plain("Add"),
    "sub": _plain("Sub"),
    "mul": _plain("Mul"),
    "div": _div,
    "mod": _mod,
    "minimum": _extreme("LessOrEqual"),
    "maximum": _extreme("GreaterOrEqual"),
    "pow": _plain("Pow"),
    "abs": _plain("Abs"),
    "sign": _plain("Sign"),
    "exp": _plain("Exp"),
    "log": _plain("Log"),
    "log1p": _log1p,
    "sqrt": _plain("Sqrt"),
    "floor": _plain("Floor"),
    "ceil": _plain("Ceil"),
    "round": _round,
    "clip": _clip,
    "is_nan": _plain("IsNaN"),
    "is_finite": _is_finite,
    "eq": _compare("Equal"),
    "lt": _compare("Less"),
    "le": _compare("LessOrEqual"),
    "gt": _compare("Greater"),
    "ge": _compare("GreaterOrEqual"),
    "is_in": _is_in,
    "and": _and,
    "or": _or,
    "not": _plain("Not"),
    "where": _where,
    "is_null": _is_null,
    "fill_null": _fill_null,
    "cast": _cast,
    "lower": TEXTS,
    "upper": TEXTS,
    "strip": TEXTS,
    "text_length": TEXTS,
    "substring": TEXTS,
    "contains": TEXTS,
    "concat": _concat,
    "split": RAGGED,
    "regex_full_match": _regex_full_match,
    "regex_extract": TEXTS,
    "regex_replace": TEXTS,
    "hash_bucket": "ONNX cannot hash text",
    **TIMES,
    "list_length": _list_length,
    "list_sum": _reduced("ReduceSum"),
    "list_mean": _reduced("ReduceMean"),
    "list_min": _reduced("ReduceMin"),
    "list_max": _reduced("ReduceMax"),
    "list_get": _list_get,
    "list_join": RAGGED,
    "to_dense": RAGGED,
    "one_hot": _one_hot,
    "multi_hot": RAGGED,
    "stack": _stack,
    "ngrams": RAGGED,
    "distinct_ids": RAGGED,
    "tfidf": RAGGED,
    "scale": _scale,
    "scale_by_key": _scale_by_key,
    "apply_buckets": _apply_buckets,
    "apply_buckets_by_key": _apply_buckets_by_key,
    "apply_vocabulary": _apply_vocabulary,
    "project": _project,
}
"""By the names of `ops.OPS`, all of them."""
