"""How commands print: tables for people, JSON for programs."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Sequence
from typing import Any

import click

COLORS = {
    "COMPLETE": "green", "CACHED": "cyan", "SKIPPED": "yellow", "FAILED": "red", "CANCELED": "yellow",
    "RUNNING": "blue", "QUEUED": "blue", "BASE": "cyan", "RUN": "yellow", "DEPENDS": "blue", "FAIL": "red",
}  # fmt: skip

COLOR = re.compile(r"\x1b\[[0-9;]*m")
_CONTROL = re.compile(r"\x1b\[[0-9;]*m|[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]")
"""Colours, and all other characters that could make a terminal do things."""

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")


def print_json(value: Any) -> None:
    """One JSON document on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    """Columns as wide as their content; states in colour. The last column is never cut."""
    cells = [[str(cell) for cell in row] for row in rows]
    widths = [max(len(row[i]) for row in [list(headings), *cells]) for i in range(len(headings))]
    click.secho("  ".join(h.ljust(w) for h, w in zip(headings, widths, strict=True)).rstrip(), bold=True)
    for row in cells:
        padded = [cell.ljust(w) for cell, w in zip(row, widths, strict=True)]
        click.echo("  ".join(colored(p) for p in padded).rstrip())


def colored(text: str) -> str:
    """The text, in its colour when it is a state."""
    color = COLORS.get(text.strip())
    return click.style(text, fg=color) if color else text


def harmless(text: str, *, colors: bool) -> str:
    """What others wrote, with everything that steers a terminal shown as `\\x1b`; colours stay or go."""

    def shown(match: re.Match[str]) -> str:
        if COLOR.fullmatch(match[0]):
            return match[0] if colors else ""
        return f"\\x{ord(match[0][0]):02x}"

    return _CONTROL.sub(shown, text)


def moment(milliseconds: int) -> str:
    """Local date and time; empty for 0."""
    if not milliseconds:
        return ""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(milliseconds / 1000))


def duration(seconds: float) -> str:
    """`3 ms`, `4.2 s`, `3 min 05 s`, `2 h 07 min`."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s"
    if seconds < 3600:
        return f"{int(seconds // 60)} min {int(seconds % 60):02d} s"
    return f"{int(seconds // 3600)} h {int(seconds % 3600 // 60):02d} min"


def first_line(text: str, most: int = 100) -> str:
    """The first line, cut to `most` characters."""
    line = harmless(text.splitlines()[0], colors=False) if text else ""
    return line if len(line) <= most else line[: most - 3] + "..."
