"""Operations on text. White space and the classes of patterns are ASCII; lengths count code points.

Lower and upper case are Python's on every backend, because two Unicode tables need not agree.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from tidemill.data.transform.op import TEXT, Op, Params
from tidemill.data.transform.regex import compiled
from tidemill.data.transform.text_hash import buckets_of
from tidemill.data.transform.values import Array, Lists, Values, each, objects

WHITE_SPACE = " \t\n\r\x0b\x0c"
_WORDS = re.compile(r"[^ \t\n\r\x0b\x0c]+")


def _texts(function: Callable[[str], str]) -> Callable[[Array], Array]:
    return lambda x: objects(each(function, x))


def _truths(function: Callable[[str], bool], x: Array) -> Array:
    return np.array(each(function, x), dtype=np.bool_)


def _concat(*texts: Array, separator: str) -> Array:
    return objects([separator.join(parts) for parts in zip(*texts, strict=True)])


def _concat_native(*texts: Any, separator: str) -> Any:
    import polars as pl

    return pl.concat_str(*texts, separator=separator)


def _split(x: Array, *, separator: str) -> Lists:
    def parts(text: str) -> list[str]:
        return [part for part in text.split(separator) if part] if separator else _WORDS.findall(text)

    rows = each(parts, x)
    flat = objects([part for row in rows for part in row])
    return Lists.of(flat, np.fromiter((len(row) for row in rows), dtype=np.int64, count=len(rows)))


def _extract(x: Array, *, regex: re.Pattern[str], group: int) -> Values:
    found = each(regex.search, x)
    texts = [None if match is None else match.group(group) for match in found]
    valid = np.array([text is not None for text in texts], dtype=np.bool_)
    return Values(objects(["" if text is None else text for text in texts]), valid)


def _replace(x: Array, *, regex: re.Pattern[str], replacement: str) -> Array:
    return objects(each(lambda text: regex.sub(lambda _: replacement, text), x))


def _with_regex(params: Params) -> Params:
    return {**params, "regex": compiled(params["pattern"])}


OPS: dict[str, Op] = {
    "lower": Op((TEXT,), "string", _texts(str.lower), lifts=True),
    "upper": Op((TEXT,), "string", _texts(str.upper), lifts=True),
    "strip": Op(
        (TEXT,),
        "string",
        _texts(lambda text: text.strip(WHITE_SPACE)),
        lambda x: x.str.strip_chars(WHITE_SPACE),
        lifts=True,
    ),
    "text_length": Op(
        (TEXT,),
        "int",
        lambda x: np.array([len(text) for text in x.tolist()], dtype=np.int64),
        lambda x: x.str.len_chars(),
        lifts=True,
    ),
    "substring": Op(
        (TEXT,),
        "string",
        lambda x, start, length: objects([text[start : start + length] for text in x.tolist()]),
        lambda x, start, length: x.str.slice(start, length),
        params=("start", "length"),
        lifts=True,
    ),
    "contains": Op(
        (TEXT,),
        "bool",
        lambda x, text: _truths(lambda item: text in item, x),
        lambda x, text: x.str.contains(text, literal=True),
        params=("text",),
    ),
    "concat": Op((TEXT,), "string", _concat, _concat_native, params=("separator",), many=True),
    "split": Op((TEXT,), "list[string]", _split, params=("separator",)),
    "regex_full_match": Op(
        (TEXT,),
        "bool",
        lambda x, regex: _truths(lambda text: regex.fullmatch(text) is not None, x),
        params=("regex",),
        prepare=_with_regex,
    ),
    "regex_extract": Op(
        (TEXT,), "string", _extract, params=("regex", "group"), prepare=_with_regex, lifts=True
    ),
    "regex_replace": Op(
        (TEXT,), "string", _replace, params=("regex", "replacement"), prepare=_with_regex, lifts=True
    ),
    "hash_bucket": Op((TEXT,), "int", buckets_of, params=("buckets",), lifts=True),
}
