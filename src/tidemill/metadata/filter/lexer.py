"""Text to tokens, by the lexical rules of GoogleSQL that filter queries use.

Strings with single, double or three quotes and escapes, raw strings, integers (also hexadecimal),
floating-point numbers, names, backquoted names, and the three kinds of comments. This file knows no
operator's meaning and no name. Source: google/googlesql, docs/lexical.md.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from tidemill.metadata.filter.error import FilterError

MOST_CHARACTERS = 300_000
"""Length of a query. Nobody writes more; whoever sends more wants to keep us busy."""


class TokenKind(Enum):
    """What a token is."""

    NAME = "name"
    QUOTED = "quoted name"
    INTEGER = "integer"
    NUMBER = "number"
    TEXT = "text"
    SIGN = "sign"
    END = "end of the filter"


@dataclass(frozen=True, slots=True)
class Token:
    """`value` is a name, a sign, or the value that a literal stands for; `start` to `end` is its place."""

    kind: TokenKind
    value: str | int | float
    start: int
    end: int

    def is_word(self, word: str) -> bool:
        """Whether it is this keyword, in capitals or not."""
        return self.kind is TokenKind.NAME and str(self.value).upper() == word

    def is_sign(self, *signs: str) -> bool:
        """Whether it is one of these operators or brackets."""
        return self.kind is TokenKind.SIGN and self.value in signs


_SPACE = re.compile(r"(?:[ \t\r\n\f\v]+|#[^\n]*|--[^\n]*|/\*.*?\*/)+", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MEMBER = re.compile(r"[A-Za-z0-9_]+")
_HEXADECIMAL = re.compile(r"0[xX][0-9a-fA-F]+")
_NUMBER = re.compile(r"(?:[0-9]+(?P<point>\.[0-9]*)?|(?P<bare>\.[0-9]+))(?P<exponent>[eE][+-]?[0-9]+)?")
_SIGN = re.compile(r"<>|!=|<=|>=|[=<>()+\-*/,.]")
_QUOTE = re.compile(r"(?P<prefix>[rRbB]{0,2})(?P<quote>\"\"\"|'''|\"|')")
_ESCAPE = re.compile(
    r"\\(?:(?P<plain>[abfnrtv\\?\"'`])|(?P<octal>[0-3][0-7]{2})|[xX](?P<hex>[0-9a-fA-F]{2})"
    r"|u(?P<short>[0-9a-fA-F]{4})|U(?P<long>[0-9a-fA-F]{8}))"
)
_PLAIN = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}
_WRITTEN = {"\\": r"\\", "'": r"\'", "\n": r"\n", "\r": r"\r"}
_MOST_UNSIGNED = 2**64 - 1


def tokens_of(query: str) -> list[Token]:
    """All tokens, the last one END. FilterError for text that is none."""
    if len(query) > MOST_CHARACTERS:
        raise FilterError(
            f"the filter is too long: {len(query)} characters", query=query, position=0,
            hint=f"at most {MOST_CHARACTERS} are read",
        )  # fmt: skip
    for wrong in re.finditer("[\0\ud800-\udfff]", query):
        raise FilterError(
            f"the filter holds the character U+{ord(wrong[0]):04X}, which no database stores",
            query=query, position=wrong.start(),
        )  # fmt: skip
    return _Lexer(query).tokens()


def quoted(text: str) -> str:
    """`text` as a filter writes it, for programs that put filters together."""
    return "'" + "".join(_WRITTEN.get(c, c) for c in text) + "'"


class _Lexer:
    def __init__(self, query: str) -> None:
        self._query = query
        self._at = 0
        self._found: list[Token] = []

    def tokens(self) -> list[Token]:
        while True:
            if space := _SPACE.match(self._query, self._at):
                self._at = space.end()
            if self._at == len(self._query):
                self._add(TokenKind.END, "", self._at)
                return self._found
            self._next()

    def _next(self) -> None:
        query, at = self._query, self._at
        if self._after_dot() and (match := _MEMBER.match(query, at)):
            self._add(TokenKind.NAME, match[0], match.end())
        elif match := _QUOTE.match(query, at):
            self._text(match["prefix"].lower(), match["quote"], match.end())
        elif match := _NAME.match(query, at):
            self._add(TokenKind.NAME, match[0], match.end())
        elif query[at] == "`":
            self._quoted_name()
        elif match := _HEXADECIMAL.match(query, at):
            self._integer(match[0], 16, match.end())
        elif (match := _NUMBER.match(query, at)) and not (match["bare"] and self._after_name()):
            self._number(match)
        elif query.startswith("/*", at):
            raise self._error("the comment does not end", at, hint="close it with */")
        elif match := _SIGN.match(query, at):
            self._add(TokenKind.SIGN, match[0], match.end())
        else:
            shown = query[at] if query[at].isprintable() else f"U+{ord(query[at]):04X}"
            hint = "write names with other letters in backquotes: `...`" if query[at].isalnum() else ""
            raise self._error(f"{shown!r} means nothing here", at, hint=hint)

    def _after_dot(self) -> bool:
        return len(self._found) > 1 and self._found[-1].is_sign(".")

    def _after_name(self) -> bool:
        return bool(self._found) and self._found[-1].kind in (TokenKind.NAME, TokenKind.QUOTED)

    def _add(self, kind: TokenKind, value: str | int | float, end: int) -> None:
        self._found.append(Token(kind, value, self._at, end))
        self._at = end

    def _error(self, message: str, start: int, end: int = 0, hint: str = "") -> FilterError:
        return FilterError(message, query=self._query, position=start, end=end, hint=hint)

    # --- numbers ---------------------------------------------------------------------------------

    def _number(self, match: re.Match[str]) -> None:
        if match["point"] is None and match["bare"] is None and match["exponent"] is None:
            self._integer(match[0], 10, match.end())
            return
        value = float(match[0])
        if value == float("inf"):
            raise self._error("the number is too large", self._at, match.end())
        self._ends_here(match.end())
        self._add(TokenKind.NUMBER, value, match.end())

    def _integer(self, text: str, base: int, end: int) -> None:
        # Python refuses to read thousands of digits; 64 bits have at most 20 of them.
        digits = text[2:].lstrip("0") if base == 16 else text.lstrip("0")
        value = int(digits or "0", base) if len(digits) <= 20 else _MOST_UNSIGNED + 1
        if value > _MOST_UNSIGNED:
            raise self._error("the integer is too large: integers have 64 bits", self._at, end)
        self._ends_here(end)
        self._add(TokenKind.INTEGER, value, end)

    def _ends_here(self, end: int) -> None:
        if _MEMBER.match(self._query, end):
            raise self._error("a number ends here, and a name begins", end, hint="put a space between them")

    # --- quoted text -----------------------------------------------------------------------------

    def _text(self, prefix: str, quote: str, body: int) -> None:
        if "b" in prefix or prefix == "rr":
            hint = "write it as text: '...'"
            raise self._error("bytes are not part of filters", self._at, body, hint=hint)
        value, end = self._quoted(quote, body, raw=prefix == "r")
        self._add(TokenKind.TEXT, value, end)

    def _quoted_name(self) -> None:
        value, end = self._quoted("`", self._at + 1, raw=False)
        if not value:
            raise self._error("the name between the backquotes is empty", self._at, end)
        self._add(TokenKind.QUOTED, value, end)

    def _quoted(self, quote: str, body: int, *, raw: bool) -> tuple[str, int]:
        """The value of what begins at `body`, and the offset after its closing quote."""
        query, at = self._query, body
        stop = re.compile(r"\\|" + re.escape(quote) + ("" if len(quote) == 3 else r"|[\r\n]"))
        parts: list[str] = []
        while match := stop.search(query, at):
            # Line ends within three quotes are one character each, however the query was stored.
            parts.append(query[at : match.start()].replace("\r\n", "\n").replace("\r", "\n"))
            at = match.end()
            if match[0] == quote:
                return "".join(parts), at
            if match[0] != "\\":
                break
            if raw:
                parts.append(query[match.start() : at + 1])
                at += 1
            else:
                part, at = self._escape(match.start())
                parts.append(part)
        what = "name" if quote == "`" else "text"
        raise self._error(f"the {what} does not end", self._at, hint=f"close it with {quote}")

    def _escape(self, start: int) -> tuple[str, int]:
        match = _ESCAPE.match(self._query, start)
        if match is None:
            shown = self._query[start : start + 2]
            hint = r"for a backslash write \\, or put r before the quote"
            raise self._error(f"{shown} is no escape sequence", start, start + 2, hint=hint)
        if plain := match["plain"]:
            return _PLAIN.get(plain, plain), match.end()
        octets = match["octal"] or match["hex"]
        digits = octets or match["short"] or match["long"]
        code = int(digits, 8 if match["octal"] else 16)
        most = 0x7F if octets else 0x10FFFF
        if code == 0 or code > most or 0xD800 <= code <= 0xDFFF:
            raise self._error(
                f"{match[0]} is no character that can be stored", start, match.end(),
                hint=r"write other letters as they are, or as \u00e4",
            )  # fmt: skip
        return chr(code), match.end()
