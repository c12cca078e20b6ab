"""Charts as inline SVG, with a title and a description for who does not see them.

Every number is written with one decimal of a user unit, so that equal data gives equal bytes. Up to four
sets are drawn over each other: the first filled, the others as lines; colours are classes of the style.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tidemill.pages.shapes import Bars
from tidemill.pages.text import escaped, number, percent

WIDTH, HEIGHT = 320.0, 104.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 4.0, 316.0, 6.0, 84.0
LETTERS = "abcd"
"""Class of each set, by its place."""
_DECADES = 4.0


def distribution(sides: Sequence[Bars | None], boxes: Sequence[Sequence[float] | None],
                 ends: tuple[object, object], title: str, css: str) -> str:  # fmt: skip
    """Densities over each other, on a linear and on a log scale; below, a box per set.

    `boxes`: where percentiles 5, 25, 50, 75 and 95 lie, as parts of the range. `ends`: what the axis says.
    """
    top = max((h for bars in sides if bars for h in bars.heights), default=0.0)
    parts = []
    for log in (False, True):
        shapes = [
            _bars(bars, top, LETTERS[i], filled=i == 0, log=log) for i, bars in enumerate(sides) if bars
        ]
        parts.append(f'<g class="log-{"on" if log else "off"}">{"".join(shapes)}</g>')
    parts.append(f'<path class="axis" d="M{_LEFT} {_BOTTOM}H{_RIGHT}"/>')
    at = _BOTTOM + 5
    for i, box in enumerate(boxes):
        if box is not None:
            parts.append(_box(box, at, LETTERS[i]))
            at += 7
    parts.append(_ends(ends, at + 9))
    return svg("".join(parts), title, css=css, height=at + 14)


def values(rows: Sequence[tuple[str, Sequence[float | None]]], title: str) -> str:
    """Shares of texts as bars, one row for each text and in it one bar per set; None where not listed."""
    sets = max((len(shares) for _, shares in rows), default=1)
    bar = 11.0 if sets == 1 else 6.0
    row = bar * sets + 6
    top = max((s for _, shares in rows for s in shares if s), default=1.0)
    parts = []
    for place, (text, shares) in enumerate(rows):
        y = 2 + place * row
        for i, share in enumerate(shares):
            if share is None:
                continue
            linear = max(1.0, 150 * share / top)
            # Four decades: what is a thousandth of the longest bar is still seen.
            log = max(1.0, 150 * _log(share, top))
            bar_y = y + i * bar
            for css, width in (("log-off", linear), ("log-on", log)):
                fill = f"{LETTERS[i]}{' fill' if i == 0 else ''}"
                size = f'width="{width:.1f}" height="{bar - 1:.1f}"'
                parts.append(f'<rect class="{fill} {css}" x="116" y="{bar_y:.1f}" {size}/>')
        middle = y + bar * sets / 2 + 3.2
        name = escaped(text, 19) or "(empty)"
        parts.append(f'<text class="label" x="110" y="{middle:.1f}" text-anchor="end">{name}</text>')
        told = " / ".join(percent(share) for share in shares) if sets <= 2 else percent(shares[0])
        parts.append(f'<text x="272" y="{middle:.1f}">{escaped(told)}</text>')
    return svg("".join(parts), title, height=max(row * len(rows) + 4, 20))


def lines(series: Sequence[tuple[Sequence[tuple[float, float]], str]], title: str, *, labels: tuple[str, str],
          low: tuple[float, float] = (0.0, 0.0), high: tuple[float, float] = (1.0, 1.0),
          diagonal: bool = False, under: str = "") -> str:  # fmt: skip
    """Curves (points, class) in a square, both axes from `low` to `high`; `under` is drawn below them."""
    x0, y0, size = 40.0, 10.0, 250.0
    parts = []
    for i in range(5):
        part = i / 4
        x, y = x0 + part * size, y0 + size - part * size
        parts.append(f'<path class="grid" d="M{x:.1f} {y0}V{y0 + size}M{x0} {y:.1f}H{x0 + size}"/>')
        along = [a + part * (b - a) for a, b in zip(low, high, strict=True)]
        parts.append(f'<text x="{x:.1f}" y="{y0 + size + 14}" text-anchor="middle">{_tick(along[0])}</text>')
        parts.append(f'<text x="{x0 - 6}" y="{y + 3.5:.1f}" text-anchor="end">{_tick(along[1])}</text>')
    if diagonal:
        parts.append(f'<path class="gap" d="M{x0} {y0 + size}L{x0 + size} {y0}"/>')
    parts.append(under)
    for points, css in series:
        drawn = [
            (x0 + size * _part(x, low[0], high[0]), y0 + size - size * _part(y, low[1], high[1]))
            for x, y in points
        ]
        if drawn:
            path = "L".join(f"{x:.1f} {y:.1f}" for x, y in drawn)
            parts.append(f'<path class="line {css}" d="M{path}"/>')
    parts.append(
        f'<text x="{x0 + size / 2}" y="{y0 + size + 29}" text-anchor="middle">{escaped(labels[0])}</text>'
    )
    turned = f'transform="translate(9 {y0 + size / 2}) rotate(-90)"'
    parts.append(f'<text {turned} text-anchor="middle">{escaped(labels[1])}</text>')
    return svg("".join(parts), title, width=300, height=y0 + size + 34)


def interval(low: float, value: float, high: float, shown: tuple[float, float], title: str,
             mark: float | None = None) -> str:  # fmt: skip
    """A value with its interval on a line over the range `shown`; `mark` is a value to compare with."""
    xs = [4 + 142 * _part(v, *shown) for v in (low, value, high)]
    line = ""
    if mark is not None:
        x = 4 + 142 * _part(mark, *shown)
        line = f'<path class="gap" d="M{x:.1f} 1V15"/>'
    line += f'<path class="line a" d="M{xs[0]:.1f} 8H{xs[2]:.1f}"/>'
    line += f'<circle class="a" cx="{xs[1]:.1f}" cy="8" r="3.2"/>'
    return svg(line, title, width=150, height=16)


def svg(inner: str, title: str, *, css: str = "", width: float = WIDTH, height: float = HEIGHT) -> str:
    """An SVG element that says what it shows. `inner` is SVG made here, `title` is text."""
    shown = escaped(title, 400)
    kind = f' class="{css}"' if css else ""
    return (
        f'<svg{kind} viewBox="0 0 {width:g} {height:g}" role="img" aria-label="{shown}">'
        f"<title>{shown}</title>{inner}</svg>"
    )


def _bars(bars: Bars, top: float, letter: str, *, filled: bool, log: bool) -> str:
    """One set: bars with feet on the axis when filled, else their outline."""
    if not bars.heights or top <= 0:
        return ""
    xs = [_LEFT + (_RIGHT - _LEFT) * edge for edge in bars.edges]
    ys = []
    for height in bars.heights:
        part = _log(height, top) if log else height / top
        # A bar that is there is seen, however small.
        drawn = max(part * (_BOTTOM - _TOP), 1.0) if height > 0 else 0.0
        ys.append(_BOTTOM - drawn)
    if filled:
        gap = 0.6 if len(ys) > 1 else 0.0
        cells = "".join(
            f"M{x + gap:.1f} {_BOTTOM:g}V{y:.1f}H{right - gap:.1f}V{_BOTTOM:g}Z"
            for x, right, y in zip(xs, xs[1:], ys, strict=False)
            if y < _BOTTOM
        )
        return f'<path class="{letter} fill" d="{cells}"/>' if cells else ""
    steps = "".join(f"V{y:.1f}H{right:.1f}" for right, y in zip(xs[1:], ys, strict=True))
    return f'<path class="{letter} line" d="M{xs[0]:.1f} {_BOTTOM:g}{steps}V{_BOTTOM:g}"/>'


def _box(parts: Sequence[float], y: float, letter: str) -> str:
    p5, p25, p50, p75, p95 = (_LEFT + (_RIGHT - _LEFT) * part for part in parts)
    width = max(p75 - p25, 0.8)
    return (
        f'<path class="line {letter}" d="M{p5:.1f} {y:g}H{p25:.1f}M{p75:.1f} {y:g}H{p95:.1f}"/>'
        f'<rect class="{letter} fill" x="{p25:.1f}" y="{y - 2:g}" width="{width:.1f}" height="4"/>'
        f'<path class="line {letter}" d="M{p50:.1f} {y - 3:g}V{y + 3:g}"/>'
    )


def _ends(ends: tuple[object, object], y: float) -> str:
    low, high = (text if isinstance(text, str) else number(text) for text in ends)
    return (
        f'<text x="{_LEFT}" y="{y:g}">{escaped(low)}</text>'
        f'<text x="{_RIGHT}" y="{y:g}" text-anchor="end">{escaped(high)}</text>'
    )


def _log(value: float, top: float) -> float:
    return max(0.0, 1 + math.log10(value / top) / _DECADES) if value > 0 and top > 0 else 0.0


def _part(value: float, low: float, high: float) -> float:
    return min(max((value - low) / (high - low), 0.0), 1.0) if high > low else 0.5


def _tick(value: float) -> str:
    return number(float(f"{value:.2g}"))
