"""The platform file: what Kubernetes is to give the pods, as TOML that stands beside the pipeline.

    [run]
    deadline = 86400

    [nodes."*"]
    secret_env = { TIDEMILL_METADATA = "tidemill/url" }
    volumes = [{ claim = "artifacts", path = "/data" }]

    [nodes.train]
    node_selector = { pool = "gpu" }

Its keys are the fields of `KubernetesOptions` and `RunOptions`. Unknown ones are refused: one that is spelled
wrong would otherwise do nothing, and nobody would see it.
"""

from __future__ import annotations

import dataclasses
import tomllib
import types
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tidemill.errors import DefinitionError, did_you_mean
from tidemill.runners.kubeflow.platform import KubernetesOptions, RunOptions


def read_platform(path: Path) -> tuple[dict[str, KubernetesOptions], RunOptions]:
    """Node or pattern -> options, and those of the run. DefinitionError says where the file is wrong."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DefinitionError(
            f"the platform file cannot be read: {error.strerror}", where=str(path)
        ) from None
    except UnicodeDecodeError:
        raise DefinitionError("the platform file is not UTF-8", where=str(path)) from None
    except tomllib.TOMLDecodeError as error:
        raise DefinitionError(f"the platform file is not TOML: {error}", where=str(path)) from None
    return parse_platform(data, str(path))


def parse_platform(data: Mapping[str, Any], where: str) -> tuple[dict[str, KubernetesOptions], RunOptions]:
    """The same from data; `where` is what it was read from."""
    _known(data, ("nodes", "run"), where, "the platform file")
    nodes = data.get("nodes", {})
    _must(isinstance(nodes, dict), where, "nodes", 'a table: [nodes."*"]', nodes)
    found = {name: _record(KubernetesOptions, given, f"nodes.{name}", where) for name, given in nodes.items()}
    return found, _record(RunOptions, data.get("run", {}), "run", where)


def _record(cls: type[Any], given: Any, at: str, where: str) -> Any:
    _must(isinstance(given, dict), where, at, "a table", given)
    hints = typing.get_type_hints(cls)
    _known(given, hints, where, at)
    values = {key: _value(hints[key], value, f"{at}.{key}", where) for key, value in given.items()}
    missing = [
        f.name
        for f in dataclasses.fields(cls)
        if f.default is dataclasses.MISSING
        and f.default_factory is dataclasses.MISSING
        and f.name not in values
    ]
    if missing:
        raise DefinitionError(f"{at} lacks {missing[0]!r}", where=where, hint=f"write {missing[0]} = ...")
    return cls(**values)


def _value(hint: Any, given: Any, at: str, where: str) -> Any:
    origin, args = typing.get_origin(hint), typing.get_args(hint)
    if origin is types.UnionType:
        return _value(next(a for a in args if a is not types.NoneType), given, at, where)
    if origin is tuple:
        _must(isinstance(given, list), where, at, "a list: [...]", given)
        return tuple(_value(args[0], item, f"{at}[{i}]", where) for i, item in enumerate(given))
    if origin is not None:  # a mapping of texts
        _must(isinstance(given, dict), where, at, 'a table: { NAME = "..." }', given)
        return {key: _value(args[1], item, f"{at}.{key}", where) for key, item in given.items()}
    if dataclasses.is_dataclass(hint):
        return _record(typing.cast("type", hint), given, at, where)
    right = isinstance(given, hint) and isinstance(given, bool) == (hint is bool)
    _must(right, where, at, {str: "a text", int: "a whole number", bool: "true or false"}[hint], given)
    return given


def _known(given: Mapping[str, Any], known: typing.Iterable[str], where: str, at: str) -> None:
    for key in given:
        if key not in (names := list(known)):
            hint = did_you_mean(key, names) or f"known: {', '.join(names)}"
            raise DefinitionError(f"{at} has an unknown key {key!r}", where=where, hint=hint)


def _must(holds: bool, where: str, at: str, expected: str, given: Any) -> None:
    if not holds:
        raise DefinitionError(f"{at} must be {expected}, not {given!r}", where=where)
