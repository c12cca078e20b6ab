"""Everything that comes from data becomes text here, and nowhere else: escaped, visible, not too long.

A column may be called anything. Characters that are not seen, or that reorder their neighbours, are
shown by their number (Unicode TR 36, "bidirectional text spoofing"), so that two names that look equal
are equal.
"""

from __future__ import annotations

import html
import math
import unicodedata
from typing import Any

NAME_MOST, TITLE_MOST = 80, 400
"""Characters of a name that are shown, and that are shown when it is pointed at."""
_JOINERS = "\u200c\u200d"
"""Part of words in Persian and Hindi, and of emoji."""
_HIDDEN = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
_DIGITS = 5


def visible(text: str) -> str:
    """The text with every character that would not be seen as `\\u202e`: control, format, lone surrogate."""
    if text.isascii() and text.isprintable():
        return text
    return "".join(_visible(character) for character in text)


def _visible(character: str) -> str:
    if character in _JOINERS or unicodedata.category(character) not in _HIDDEN:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def escaped(text: object, most: int = NAME_MOST) -> str:
    """HTML for element content and quoted attributes; cut to `most` characters."""
    shown = text if isinstance(text, str) else str(text)
    if len(shown) > most:
        shown = shown[: most - 1] + "…"
    return html.escape(visible(shown), quote=True)


def name_html(text: str, most: int = NAME_MOST) -> str:
    """A name as an element that keeps its direction to itself; the whole of it when it is pointed at."""
    title = f' title="{escaped(text, TITLE_MOST)}"' if len(text) > most else ""
    return f"<bdi{title}>{escaped(text, most)}</bdi>" if text else '<bdi class="dim">(empty)</bdi>'


def finite(value: Any) -> float | None:
    """The value as a float, or None when it is no finite number. Whole numbers may be of any size."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return number if math.isfinite(number) else None


def number(value: Any) -> str:
    """A number in few characters: whole ones to twelve digits, others with five significant ones."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) < 10**12:
        return f"{value:,}".replace("-", "−")
    found = finite(value)
    if found is None:
        return "–"
    if found == int(found) and abs(found) < 1e12:
        return f"{int(found):,}".replace("-", "−")
    size = abs(found)
    text = f"{found:,.{max(0, _DIGITS - 1 - math.floor(math.log10(size)))}f}" if 1e-4 <= size < 1e6 else ""
    if text and "." in text:
        text = text.rstrip("0").rstrip(".")
    return (text or _scientific(found)).replace("-", "−")


def _scientific(value: float) -> str:
    mantissa, _, exponent = f"{value:.{_DIGITS - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def percent(share: float | None) -> str:
    """A share as per cent; what is not nothing never reads 0 %, nor what is not all 100 %."""
    if share is None or not math.isfinite(share):
        return "–"
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    text = f"{100 * share:.1f}" if share < 0.1 or share > 0.9 else f"{100 * share:.0f}"
    return f"{text.removesuffix('.0')} %"


def count_of(count: int, word: str) -> str:
    """`1 column`, `18 columns`."""
    return f"{count:,} {word}{'' if count == 1 else 's'}"
