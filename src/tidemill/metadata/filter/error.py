"""The one error of filter queries: it shows where in the query the mistake is."""

from __future__ import annotations

from tidemill.errors import StoreError

_SHOWN = 96
"""Characters of the query's line that are shown around the mistake."""


class FilterError(StoreError):
    """A filter query cannot be understood. `position` is the offset of the mistake in `query`."""

    code = "FILTER"
    exit_code = 2

    def __init__(self, message: str, *, query: str, position: int, end: int = 0, hint: str = "") -> None:
        line, column, self.excerpt = _locate(query, position, max(end, position + 1))
        super().__init__(message, where=f"the filter, line {line}, column {column}", hint=hint)
        self.query = query
        self.position = position
        self.end = end

    def __str__(self) -> str:
        first, *rest = super().__str__().split("\n")
        return "\n".join([first, self.excerpt, *rest])


def _locate(query: str, start: int, end: int) -> tuple[int, int, str]:
    """Line and column from 1, and the line with carets below `start` to `end`."""
    line_start = query.rfind("\n", 0, start) + 1
    line_end = query.find("\n", start)
    line_end = len(query) if line_end < 0 else line_end
    column = start - line_start
    left = max(line_start, start - _SHOWN // 2)
    right = min(line_end, left + _SHOWN)
    shown = "".join(c if c.isprintable() else "?" for c in query[left:right])
    carets = max(1, min(end, right) - start)
    excerpt = f"       {shown}\n       {' ' * (start - left)}{'^' * carets}"
    return query.count("\n", 0, start) + 1, column + 1, excerpt
