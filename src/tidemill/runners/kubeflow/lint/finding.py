"""What the linter says: a rule with who enforces it, and one place of a document where it is broken."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tidemill.runners.kubeflow.rules import RULES, Rule

Path = tuple[str | int, ...]
"""Keys and places of lists, from the top of a document."""
Json = dict[str, Any]
"""A JSON object; what is in it was checked against the schema."""

_PLAIN = re.compile(r"[A-Za-z_][\w-]*")


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that is broken at one place."""

    rule: Rule
    path: Path
    what: str
    fix: str
    document: int = 0
    """Which document of the file, from 0."""
    line: int = 0
    """In the file, from 1; 0 where the document did not come from text."""

    @property
    def where(self) -> str:
        """The place in words: `root.dag.tasks.train`."""
        return path_text(self.path)

    def __str__(self) -> str:
        return (
            f"{self.rule.severity} [{self.rule.id}] {self.where}: {self.what}\n"
            f"    who   {self.rule.who}: {self.rule.why}\n"
            f"    fix   {self.fix}"
        )

    def as_json(self) -> Json:
        """All there is to say, as plain data."""
        return {
            "rule": self.rule.id, "severity": self.rule.severity, "who": self.rule.who,
            "document": self.document,
            "line": self.line, "path": list(self.path), "where": self.where, "what": self.what,
            "why": self.rule.why, "fix": self.fix,
        }  # fmt: skip


def broken(rule: str, path: Path, what: str, fix: str, document: int = 0) -> Finding:
    """The finding that a rule is broken at a place of a document."""
    return Finding(RULES[rule], path, what, fix or "take it out", document)


def path_text(path: Path) -> str:
    """`components["a.b"].dag.tasks.train.inputs[0]`; the document itself for an empty path."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            text += f".{part}" if text else part
        else:
            text += f"[{part!r}]"
    return text or "the document"


def dig(value: Mapping[str, Any], *keys: str) -> Json:
    """The object under some keys; empty where there is none."""
    found: Any = value
    for key in keys:
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else {}
