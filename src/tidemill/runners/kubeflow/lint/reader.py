"""Reads a file as KFP's server does: YAML of several documents, or JSON, with the line of every key.

Scalars are resolved as its Go library does it (YAML 1.2: `yes` and a date are text), not as PyYAML would.
PyYAML is wanted only here, and only for what is no JSON; the linter itself takes plain data.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from tidemill.errors import DefinitionError
from tidemill.runners.kubeflow.lint.finding import Finding, Path, broken
from tidemill.runners.kubeflow.lint.shape import DEEPEST

LARGEST = 32 * 2**20
"""Bytes that the API server reads of a file."""
_ALIASED = 50_000
"""Nodes that a document may have beyond one for each of its characters: aliases of aliases have no end."""
_INT = re.compile(r"[-+]?[0-9]+|0x[0-9a-fA-F]+|0o[0-7]+")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
_WORDS = {"": None, "~": None, "null": None, "Null": None, "NULL": None, "true": True, "True": True,
          "TRUE": True,
          "false": False, "False": False, "FALSE": False}  # fmt: skip


@dataclass(slots=True)
class Source:
    """The documents of a file, what is wrong with its text, and lines by document and path."""

    documents: list[Any] = field(default_factory=list)
    lines: dict[tuple[int, Path], int] = field(default_factory=dict)
    found: list[Finding] = field(default_factory=list)

    def line(self, document: int, path: Path) -> int:
        """Of a place, or of the nearest that is around it; 0 when no text is known."""
        while path and (document, path) not in self.lines:
            path = path[:-1]
        return self.lines.get((document, path), 0)


def read(text: str, file: str) -> Source:
    """The documents of a text. DefinitionError when it is neither YAML nor JSON."""
    source = Source()
    if (size := len(text.encode("utf-8", "replace"))) > LARGEST:
        source.found.append(
            broken(
                "file-too-large",
                (),
                f"the file has {size / 2**20:.0f} MiB",
                "share components between tasks, or cut the pipeline in two",
            )
        )
    try:
        import yaml
    except ImportError:
        return _json(text, file, source)
    try:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        for number, node in enumerate(yaml.compose_all(text, Loader=loader)):
            source.documents.append(_Build(source, number, len(text) + _ALIASED).of(node))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        what = getattr(error, "problem", None) or str(error)
        if text.lstrip().startswith("{"):
            return _json(text, file, Source(found=source.found))
        raise DefinitionError(
            f"this is no YAML: {what}", where=f"{file}:{mark.line + 1}" if mark else file
        ) from None
    except (RecursionError, ValueError) as error:
        raise DefinitionError(f"this cannot be read: {error}", where=file) from None
    return source


def _json(text: str, file: str, source: Source) -> Source:
    try:
        source.documents = [json.loads(text)]
    except RecursionError:
        raise DefinitionError("this cannot be read: it nests too deep", where=file) from None
    except ValueError as error:
        if text.lstrip().startswith("{"):
            raise DefinitionError(f"this is no JSON: {error}", where=file) from None
        raise DefinitionError(
            "YAML cannot be read, because PyYAML is not installed", where=file,
            hint="pip install 'tidemill[kubeflow]', or give the pipeline as JSON",
        ) from None  # fmt: skip
    return source


class _Build:
    """Makes plain data of one document's nodes."""

    def __init__(self, source: Source, number: int, most: int) -> None:
        self.source = source
        self.number = number
        self.most = most
        self.made = 0

    def of(self, node: Any, path: Path = ()) -> Any:
        """What a node stands for. ValueError when it has no end."""
        self.made += 1
        if self.made > self.most or len(path) > 2 * DEEPEST:
            raise ValueError("it nests too deep or without end")
        if node is None:
            return None
        self.source.lines.setdefault((self.number, path), node.start_mark.line + 1)
        if node.id == "sequence":
            return [self.of(inner, (*path, i)) for i, inner in enumerate(node.value)]
        if node.id == "mapping":
            return dict(self._pairs(node, path))
        return _scalar(node)

    def _pairs(self, node: Any, path: Path) -> Iterator[tuple[Any, Any]]:
        seen: set[Any] = set()
        merged: list[Any] = []
        for key_node, value_node in node.value:
            if key_node.id != "scalar":
                raise ValueError(f"a key is no text in line {key_node.start_mark.line + 1}")
            key = _scalar(key_node)
            if key == "<<" and not key_node.style:
                merged += value_node.value if value_node.id == "sequence" else [value_node]
                continue
            place = (*path, key if isinstance(key, str) else str(key))
            self.source.lines[(self.number, place)] = key_node.start_mark.line + 1
            if key in seen:
                self.source.found.append(
                    broken("duplicate-key", place, f"{key!r} stands here twice", "keep one", self.number)
                )
            seen.add(key)
            yield key, self.of(value_node, place)
        for other in merged:
            for key, value in self._pairs(other, path) if other.id == "mapping" else ():
                if key not in seen:
                    seen.add(key)
                    yield key, value


def _scalar(node: Any) -> Any:
    text = node.value
    if node.style:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INT.fullmatch(text) and len(text) < 400:
        return int(text, 0 if text[:2] in ("0x", "0o") else 10)
    if _FLOAT.fullmatch(text):
        return float(text)
    if text.lower().lstrip("+-") in (".inf", ".nan"):
        return float(text.replace(".", ""))
    return text
