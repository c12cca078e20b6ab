"""The Common Expression Language, as far as a linter needs it: whether a text is one, and what it names.

Grammar: github.com/google/cel-spec, doc/langdef.md. Knows that a condition reads an ExecutorInput and a
selector a protobuf Value, and no other rule.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from tidemill.errors import did_you_mean
from tidemill.runners.kubeflow.lint.finding import Finding, Path, broken
from tidemill.runners.kubeflow.lint.model import Task
from tidemill.runners.kubeflow.rules import RULES

_TOKEN = re.compile(
    r"""
    (?P<space>\s+|//[^\n]*)
  | (?P<text>[rRbB]{0,2}(?:\"\"\"(?:\\.|[^\\])*?\"\"\"|'''(?:\\.|[^\\])*?'''
      |"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'))
  | (?P<number>0x[0-9a-fA-F]+u?|\d+\.\d+(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+(?:[eE][+-]?\d+)?[uU]?)
  | (?P<name>[A-Za-z_]\w*)
  | (?P<sign>&&|\|\||==|!=|<=|>=|[-+*/%!<>?:.,()\[\]{}])
""",
    re.VERBOSE | re.DOTALL,
)
_BINARY = {"||": 1, "&&": 2, "==": 3, "!=": 3, "<": 3, "<=": 3, ">": 3, ">=": 3, "in": 3,
           "+": 4, "-": 4, "*": 5, "/": 5, "%": 5}  # fmt: skip
_FUNCTIONS = {"parseJson", "size", "int", "uint", "double", "string", "bool", "bytes", "type", "duration",
              "timestamp", "has", "dyn", "matches", "contains", "startsWith", "endsWith"}  # fmt: skip
_MACROS = {"all", "exists", "exists_one", "filter", "map"}
"""Their first argument is a name of their own."""
_CONSTANTS = {"true", "false", "null"}
_OF_INPUT = {"inputs", "outputs"}
_OF_VALUE = {"null_value", "number_value", "string_value", "bool_value", "struct_value", "list_value"}
_DEEPEST = 60
_READ = re.compile(r"\binputs\.(\w+)\[\s*(?:'([^']*)'|\"([^\"]*)\")\s*\]")
_KINDS = {"parameter_values": "parameters", "artifacts": "artifacts", "parameters": "parameters"}


class _Wrong(Exception):
    """The text is no expression."""


def check(text: str, path: Path, task: Task | None) -> Iterator[Finding]:
    """Findings of a condition of a task, or of a selector where there is no task."""
    try:
        names = _Parser(text).names()
    except _Wrong as error:
        yield Finding(
            RULES["condition-syntax"], path, f"{text[:80]!r} is no CEL: {error}", "mend the expression"
        )
        return
    known = _OF_INPUT if task is not None else _OF_VALUE
    for name in sorted(names - known - _CONSTANTS):
        yield broken(
            "condition-syntax",
            path,
            f"{name!r} is nothing that the expression can read",
            did_you_mean(name, known),
        )
    if task is not None:
        yield from _reads(text, path, task)


def _reads(text: str, path: Path, task: Task) -> Iterator[Finding]:
    for field, *keys in _READ.findall(text):
        key = "".join(keys)
        if field not in _KINDS:
            yield Finding(
                RULES["condition-name"], path, f"inputs has no {field!r}", did_you_mean(field, _KINDS)
            )
            continue
        if field == "parameters":
            yield broken(
                "condition-name",
                path,
                "inputs.parameters is never filled",
                f"write inputs.parameter_values[{key!r}]",
            )
            continue
        have = task.inputs(_KINDS[field])
        if key not in have and key != task.iterator.get("itemInput"):
            yield broken(
                "condition-name", path, f"{task.name!r} is given no input {key!r}", did_you_mean(key, have)
            )


class _Parser:
    """A recursive descent over the tokens; remembers which names stand for themselves."""

    def __init__(self, text: str) -> None:
        self.tokens: list[tuple[str, str]] = []
        self.place = 0
        self.deep = 0
        self.found: set[str] = set()
        at = 0
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise _Wrong(f"{text[at]!r} at {at + 1}")
            at = match.end()
            kind = match.lastgroup or ""
            if kind != "space":
                self.tokens.append((kind, match.group()))

    def names(self) -> set[str]:
        """All free names of the expression."""
        self._expression()
        if self.place < len(self.tokens):
            raise _Wrong(f"{self._peek()!r} is too much")
        return self.found

    def _peek(self) -> str:
        return self.tokens[self.place][1] if self.place < len(self.tokens) else ""

    def _take(self, *wanted: str) -> str:
        if self.place >= len(self.tokens):
            raise _Wrong(f"it ends where {' or '.join(wanted) or 'a value'} is missing")
        kind, text = self.tokens[self.place]
        if wanted and (text not in wanted or kind == "text"):
            raise _Wrong(f"{text!r} stands where {' or '.join(wanted)} belongs")
        self.place += 1
        return text

    def _is(self, *signs: str) -> bool:
        return (
            self.place < len(self.tokens) and self.tokens[self.place][0] != "text" and self._peek() in signs
        )

    def _expression(self) -> None:
        self.deep += 1
        if self.deep > _DEEPEST:
            raise _Wrong("it nests too deep")
        self._binary(1)
        if self._is("?"):
            self._take("?")
            self._expression()
            self._take(":")
            self._expression()
        self.deep -= 1

    def _binary(self, lowest: int) -> None:
        self._unary()
        while self._is(*_BINARY) and _BINARY[self._peek()] >= lowest:
            self._binary(_BINARY[self._take()] + 1)

    def _unary(self) -> None:
        while self._is("!", "-"):
            self._take()
        self._primary()
        while self._is(".", "["):
            if self._take() == "[":
                self._expression()
                self._take("]")
            else:
                self._member()

    def _member(self) -> None:
        if self.place >= len(self.tokens) or self.tokens[self.place][0] != "name":
            raise _Wrong("a name is missing behind the dot")
        name = self._take()
        if self._is("("):
            bound = self.tokens[self.place + 1 : self.place + 2]
            already = set(self.found)
            self._list("(", ")")
            if name in _MACROS and bound and bound[0][1] not in already:
                self.found.discard(bound[0][1])

    def _primary(self) -> None:
        if self._is("("):
            self._take("(")
            self._expression()
            self._take(")")
        elif self._is("["):
            self._list("[", "]")
        elif self._is("{"):
            self._map()
        elif self.place < len(self.tokens) and self.tokens[self.place][0] in ("text", "number"):
            self._take()
        elif self.place < len(self.tokens) and self.tokens[self.place][0] == "name":
            name = self._take()
            if self._is("("):
                if name not in _FUNCTIONS:
                    raise _Wrong(f"there is no function {name!r}")
                self._list("(", ")")
            else:
                self.found.add(name)
        else:
            raise _Wrong(
                f"{self._peek()!r} stands where a value belongs" if self._peek() else "it ends too early"
            )

    def _list(self, opening: str, closing: str) -> None:
        self._take(opening)
        while not self._is(closing):
            self._expression()
            if not self._is(closing):
                self._take(",", closing)
        self._take(closing)

    def _map(self) -> None:
        self._take("{")
        while not self._is("}"):
            self._expression()
            self._take(":")
            self._expression()
            if not self._is("}"):
                self._take(",", "}")
        self._take("}")
