"""Tokens to a tree: precedence, brackets and keywords. This file knows no name of a field.

From weak to strong: OR, AND, NOT, comparisons (which do not chain: `1 < x < 3` is an error, as in
GoogleSQL), + and -, * and /, signs.
"""

from __future__ import annotations

from tidemill.errors import did_you_mean
from tidemill.metadata.filter.error import FilterError
from tidemill.metadata.filter.lexer import Token, TokenKind, tokens_of
from tidemill.metadata.filter.syntax import (
    Arithmetic,
    Between,
    Comparison,
    Expression,
    In,
    Is,
    Like,
    Literal,
    Logic,
    Name,
    Negative,
    Not,
    Span,
)

MOST_BRACKETS = 150
"""Brackets, NOTs and signs around one another. Each costs the parser two frames of Python's stack."""

KEYWORDS = frozenset(("AND", "OR", "NOT", "IN", "LIKE", "BETWEEN", "IS", "NULL", "TRUE", "FALSE"))
_OTHER_SQL = frozenset(
    ("SELECT", "FROM", "WHERE", "CASE", "CAST", "EXISTS", "IF", "ORDER", "GROUP", "LIMIT", "JOIN", "UNION")
)
_LITERALS = {"NULL": None, "TRUE": True, "FALSE": False}
_OR, _AND, _NOT, _COMPARISON, _SUM, _PRODUCT, _SIGNED = range(1, 8)


def parse(query: str) -> Expression:
    """The tree of a query. FilterError when it does not follow the grammar."""
    return _Parser(query).whole()


class _Parser:
    def __init__(self, query: str) -> None:
        self._query = query
        self._tokens = tokens_of(query)
        self._at = 0
        self._open = 0

    def whole(self) -> Expression:
        if len(self._tokens) == 1:
            raise self._error("the filter is empty", self._next, hint="write a condition, such as id > 10")
        expression = self._expression(_OR)
        if self._next.kind is not TokenKind.END:
            raise self._unexpected("the end of the filter, AND or OR")
        return expression

    # --- tokens ----------------------------------------------------------------------------------

    @property
    def _next(self) -> Token:
        return self._tokens[self._at]

    def _take(self) -> Token:
        token = self._tokens[self._at]
        self._at += 1
        return token

    def _take_word(self, word: str) -> bool:
        if self._next.is_word(word):
            self._at += 1
            return True
        return False

    def _take_sign(self, sign: str, wanted: str) -> Token:
        if not self._next.is_sign(sign):
            raise self._unexpected(wanted)
        return self._take()

    def _span(self, start: int) -> Span:
        return Span(start, self._tokens[self._at - 1].end)

    def _error(self, message: str, token: Token, hint: str = "") -> FilterError:
        return FilterError(message, query=self._query, position=token.start, end=token.end, hint=hint)

    def _unexpected(self, wanted: str) -> FilterError:
        token = self._next
        found = self._query[token.start : token.end]
        shown = found if len(found) <= 40 else found[:37] + "..."
        what = "the filter ends" if token.kind is TokenKind.END else f"found {shown}"
        hint = "one = compares" if found == "=" else ""
        if token.kind is TokenKind.NAME and wanted.endswith("OR") and found.upper() not in KEYWORDS:
            hint = did_you_mean(found.upper(), KEYWORDS - _LITERALS.keys())
        return self._error(f"{what}, where {wanted} was expected", token, hint)

    # --- grammar ---------------------------------------------------------------------------------

    def _expression(self, level: int) -> Expression:
        """An expression whose operators bind at least as strongly as `level`.

        A condition is `closed`: only AND and OR may follow it.
        """
        self._open += 1
        if self._open > MOST_BRACKETS:
            raise self._error("the filter is nested too deeply", self._next, hint="use fewer brackets")
        start = self._next.start
        closed = self._next.is_word("NOT")
        left = self._first(level)
        while True:
            token = self._next
            if level <= _OR and token.is_word("OR"):
                left, closed = self._logic("OR", left, _AND, start), True
            elif level <= _AND and token.is_word("AND"):
                left, closed = self._logic("AND", left, _NOT, start), True
            elif closed:
                break
            elif level <= _COMPARISON and self._is_comparison(token):
                left, closed = self._comparison(left, start), True
            elif level <= _SUM and token.is_sign("+", "-"):
                left = self._arithmetic(left, _PRODUCT, start)
            elif level <= _PRODUCT and token.is_sign("*", "/"):
                left = self._arithmetic(left, _SIGNED, start)
            else:
                break
        self._open -= 1
        return left

    def _first(self, level: int) -> Expression:
        """What an expression begins with: a literal, a name, brackets, NOT or a sign."""
        token = self._next
        start = token.start
        if token.is_word("NOT") and level <= _NOT:
            self._take()
            return Not(self._expression(_NOT), self._span(start))
        if token.is_sign("+", "-"):
            self._take()
            return self._signed(str(token.value), start)
        if token.is_sign("("):
            self._take()
            inner = self._expression(_OR)
            self._take_sign(")", "a closing bracket, AND or OR")
            return inner
        if token.kind in (TokenKind.INTEGER, TokenKind.NUMBER, TokenKind.TEXT):
            self._take()
            return Literal(token.value, self._span(start))
        if token.kind is TokenKind.NAME and str(token.value).upper() in _LITERALS:
            self._take()
            return Literal(_LITERALS[str(token.value).upper()], self._span(start))
        return self._name()

    def _signed(self, sign: str, start: int) -> Expression:
        operand = self._expression(_SIGNED)
        at = self._span(start)
        value = operand.value if isinstance(operand, Literal) else None
        if isinstance(value, int | float) and not isinstance(value, bool):
            return Literal(-value if sign == "-" else value, at)
        return Negative(operand, at) if sign == "-" else Arithmetic("+", Literal(0, at), operand, at)

    def _name(self) -> Expression:
        token = self._next
        is_keyword = token.kind is TokenKind.NAME and str(token.value).upper() in KEYWORDS
        if is_keyword or token.kind not in (TokenKind.NAME, TokenKind.QUOTED):
            raise self._unexpected("a name, a value or an opening bracket")
        parts = [str(self._take().value)]
        while self._next.is_sign("."):
            self._take()
            if self._next.kind not in (TokenKind.NAME, TokenKind.QUOTED):
                raise self._unexpected("the part of the name after the dot")
            parts.append(str(self._take().value))
        if self._next.is_sign("(") and len(parts) == 1:
            hint = "compare fields with values; LIKE '%x%' finds a part of a text"
            raise self._error(f"filters have no functions, such as {parts[0]}", token, hint)
        if token.kind is TokenKind.NAME and parts[0].upper() in _OTHER_SQL and len(parts) == 1:
            hint = "a filter is one condition, such as: type = 'Model' AND state = LIVE"
            raise self._error(f"{parts[0]} is not part of filters", token, hint)
        return Name(tuple(parts), self._span(token.start))

    def _logic(self, word: str, first: Expression, level: int, start: int) -> Expression:
        operands = [first]
        while self._take_word(word):
            operands.append(self._expression(level))
        flat: list[Expression] = []
        for operand in operands:
            flat += operand.operands if isinstance(operand, Logic) and operand.word == word else [operand]
        return Logic(word, tuple(flat), self._span(start))

    def _arithmetic(self, left: Expression, level: int, start: int) -> Expression:
        sign = str(self._take().value)
        right = self._expression(level)
        return Arithmetic(sign, left, right, self._span(start))

    # --- comparisons -----------------------------------------------------------------------------

    def _is_comparison(self, token: Token) -> bool:
        if token.is_word("NOT"):
            after = self._tokens[self._at + 1]
            return any(after.is_word(word) for word in ("IN", "LIKE", "BETWEEN"))
        words = ("IS", "IN", "LIKE", "BETWEEN")
        return token.is_sign("=", "!=", "<>", "<", ">", "<=", ">=") or any(map(token.is_word, words))

    def _comparison(self, left: Expression, start: int) -> Expression:
        if self._take_word("IS"):
            return self._is(left, start)
        negated = self._take_word("NOT")
        if self._take_word("LIKE"):
            return Like(left, self._expression(_SUM), negated, self._span(start))
        if self._take_word("IN"):
            choices = self._choices()
            return In(left, choices, negated, self._span(start))
        if self._take_word("BETWEEN"):
            low = self._expression(_SUM)
            if not self._take_word("AND"):
                raise self._unexpected("the AND of BETWEEN")
            return Between(left, low, self._expression(_SUM), negated, self._span(start))
        sign = str(self._take().value)
        right = self._expression(_SUM)
        return Comparison("<>" if sign == "!=" else sign, left, right, self._span(start))

    def _is(self, left: Expression, start: int) -> Expression:
        negated = self._take_word("NOT")
        for word, what in _LITERALS.items():
            if self._take_word(word):
                return Is(left, what, negated, self._span(start))
        raise self._unexpected("NULL, TRUE or FALSE")

    def _choices(self) -> tuple[Expression, ...]:
        self._take_sign("(", "a list in brackets")
        choices = [self._expression(_OR)]
        while self._next.is_sign(","):
            self._take()
            choices.append(self._expression(_OR))
        self._take_sign(")", "a comma or a closing bracket")
        return tuple(choices)
