"""One column of a page of statistics: name and badges, numbers, chart, and the rest on request."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tidemill.pages.charts import LETTERS, distribution, values
from tidemill.pages.columns import Column, Numbers
from tidemill.pages.drift import Distance, distance
from tidemill.pages.problems import Measured, Problem, problem_list
from tidemill.pages.shapes import (
    Bars,
    Range,
    from_histogram,
    from_percentiles,
    full_range,
    middle_range,
    whole_numbers,
)
from tidemill.pages.text import escaped, name_html, number, percent

SHOWN_VALUES, LISTED_VALUES = 6, 20
MUCH_MISSING, MANY_ZEROS = 0.05, 0.1
_PERCENTILES = (0, 1, 5, 10, 25, 50, 75, 90, 95, 99, 100)


@dataclass(frozen=True, slots=True, kw_only=True)
class Card:
    """A column in each of the sets that are shown together; None where a set does not have it."""

    name: str
    anchor: str
    place: int
    sides: tuple[Column | None, ...]
    labels: tuple[str, ...]
    problems: tuple[Problem, ...] = ()
    measures: tuple[Measured, ...] = ()
    distance: Distance | None = None

    @property
    def first(self) -> Column:
        """The column in the first set that has it."""
        return next(side for side in self.sides if side is not None)

    @property
    def notable(self) -> bool:
        """Whether there is something to look at: an anomaly, a change, a column that is not everywhere."""
        changed = self.distance is not None and bool(self.distance.level)
        return bool(self.problems) or changed or None in self.sides or len(self.kinds) > 1

    @property
    def kinds(self) -> set[str]:
        """The types it has in the sets."""
        sides = [side for side in self.sides if side is not None]
        return {side.kind for side in sides} | {kind for side in sides for kind in side.kinds}

    @property
    def weight(self) -> float:
        """How much it deserves to be seen first: errors, warnings, changes."""
        errors = sum(p.severe for p in self.problems)
        moved = self.distance.jsd if self.distance and self.distance.level else 0.0
        absent = 50.0 * (None in self.sides or len(self.kinds) > 1)
        return 1000.0 * errors + 100.0 * (len(self.problems) - errors) + absent + moved


def make_card(name: str, place: int, anchor: str, sides: Sequence[Column | None], labels: Sequence[str],
              problems: Sequence[Problem] = (), measures: Sequence[Measured] = ()) -> Card:  # fmt: skip
    """The card of a column, with its distance between the first two sets."""
    found = None
    if len(sides) > 1 and sides[0] is not None and sides[1] is not None:
        found = distance(sides[0], sides[1])
    return Card(
        name=name, anchor=anchor, place=place, sides=tuple(sides), labels=tuple(labels),
        problems=tuple(problems), measures=tuple(measures), distance=found,
    )  # fmt: skip


def card_html(card: Card, *, small: bool = False) -> str:
    """The card as an element; a `small` one has no chart and nothing to open."""
    first = card.first
    keys = {
        "kind": escaped(first.kind),
        "notable": "1" if card.notable else "0",
        "weight": f"{card.weight:.6g}",
        "missing": _key(max((s.missing_share or 0.0 for s in card.sides if s), default=0.0)),
        "zeros": _key(first.zero_share),
        "distinct": _key(first.distinct),
        "drift": _key(card.distance.jsd if card.distance else None),
    }
    data = "".join(f' data-{key}="{value}"' for key, value in keys.items())
    kinds = escaped(" / ".join(sorted(card.kinds)))
    head = (
        f"<div><h3>{name_html(card.name)}</h3><span class=kind>{kinds}</span><div>{_badges(card)}</div></div>"
    )
    problems = problem_list(card.problems, with_place=False)
    numbers = f'<div><div class="numbers">{_numbers(card)}</div>{problems}</div>'
    rest = "" if small else f"<div>{_charts(card)}</div>{_details(card)}"
    css = "column small" if small else "column"
    return f'<article class="{css}" id="{card.anchor}"{data}>{head}{numbers}{rest}</article>\n'


def _key(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"


# --- badges ---------------------------------------------------------------------------------------


def _badges(card: Card) -> str:
    found: list[tuple[str, str]] = []
    errors = sum(p.severe for p in card.problems)
    if errors:
        found.append(("bad", f"{errors} error{'' if errors == 1 else 's'}"))
    if warnings := len(card.problems) - errors:
        found.append(("warn", f"{warnings} warning{'' if warnings == 1 else 's'}"))
    found += [
        ("bad", f"not in {label}")
        for side, label in zip(card.sides, card.labels, strict=True)
        if side is None
    ]
    if len(card.kinds) > 1:
        found.append(("bad", "types differ"))
    if card.distance and card.distance.level:
        far = card.distance.level == "far"
        found.append(("bad" if far else "warn", "moved far" if far else "moved"))
    for side in card.sides:
        if side is not None:
            found += [badge for badge in _own_badges(side) if badge not in found]
    return "".join(f'<span class="badge {css}">{escaped(text)}</span>' for css, text in _one_each(found))


def _one_each(badges: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The first of badges that say the same of several sets with other figures."""
    seen: dict[str, tuple[str, str]] = {}
    for css, text in badges:
        words = "".join(c for c in text if not c.isdigit() and c not in ".<> %")
        seen.setdefault(words, (css, text))
    return list(seen.values())


def _own_badges(column: Column) -> list[tuple[str, str]]:
    """What stands out in one set."""
    found = []
    if column.lists:
        found.append(("note", f"lists of {column.lists}"))
    share = column.missing_share
    if column.rows and not column.count:
        found.append(("bad", "all missing"))
    elif share is not None and share > MUCH_MISSING:
        found.append(("warn" if share > 0.5 else "note", f"{percent(share)} missing"))
    zeros = column.zero_share
    if zeros is not None and zeros > MANY_ZEROS:
        found.append(("note", f"{percent(zeros)} zeros"))
    if numbers := column.numbers:
        if numbers.nan:
            found.append(("warn", f"{numbers.nan:,} NaN"))
        if numbers.infinite:
            found.append(("warn", f"{numbers.infinite:,} infinite"))
    if _constant(column):
        found.append(("note", "constant"))
    values = column.values
    if values and column.count > 20 and values.distinct >= 0.98 * column.count:
        found.append(("note", "all different" if values.distinct >= column.count else "almost all different"))
    return found


def _constant(column: Column) -> bool:
    if column.count < 2:
        return False
    if column.values:
        return column.values.distinct == 1
    numbers = column.numbers
    if numbers is None or numbers.nan or numbers.infinite or numbers.least is None:
        return False
    return bool(numbers.least == numbers.most)


# --- numbers --------------------------------------------------------------------------------------


def _numbers(card: Card) -> str:
    headings = ["", "values", "missing"]
    first = card.first
    if first.numbers:
        headings += ["zeros", "mean", "std", "min", "median", "max"]
    elif first.values:
        headings += ["distinct", "most frequent", "length"]
    else:
        headings += ["first", "last"]
    rows = []
    for i, (side, label) in enumerate(zip(card.sides, card.labels, strict=True)):
        key = f'<i class="{LETTERS[i]}"></i>' if len(card.sides) > 1 and i < len(LETTERS) else ""
        cells = [f'<span class="key" title="{escaped(label)}">{key}{escaped(label, 14)}</span>']
        cells += _cells(side, first) if side else ["–"] * (len(headings) - 1)
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    head = "".join(f"<th>{heading}</th>" for heading in headings)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"


def _cells(side: Column, first: Column) -> list[str]:
    cells = [f"{side.count:,}", percent(side.missing_share)]
    if first.numbers:
        numbers = side.numbers
        if numbers is None:
            return [*cells, *["–"] * 6]
        middle = numbers.percentiles[len(numbers.percentiles) // 2] if numbers.percentiles else None
        shown = (numbers.mean, numbers.std, numbers.least, middle, numbers.most)
        return [*cells, percent(side.zero_share), *map(number, shown)]
    if first.values:
        values = side.values
        if values is None:
            return [*cells, *["–"] * 3]
        about = "" if values.exact else "≈"
        top = percent(values.listed[0][1] / side.count) if values.listed and side.count else "–"
        return [*cells, f"{about}{values.distinct:,}", top, number(values.average_length)]
    return [*cells, escaped(side.first or "–", 24), escaped(side.last or "–", 24)]


# --- charts ---------------------------------------------------------------------------------------


def _charts(card: Card) -> str:
    sides = card.sides[: len(LETTERS)]
    if any(side and side.numbers and side.numbers.percentiles for side in sides):
        return _number_charts(card, [side.numbers if side else None for side in sides])
    if any(side and side.moments and side.moments.percentiles for side in sides):
        return _moment_chart(card, [side.moments if side else None for side in sides])
    if any(side and side.values and side.values.listed for side in sides):
        rows = _value_rows(sides)
        return values(rows, f"most frequent values of {card.name}")
    return ""


def _number_charts(card: Card, sides: Sequence[Numbers | None]) -> str:
    """The middle 98 % of the values, and all of them; the page shows one."""
    known = [side.percentiles for side in sides if side and side.percentiles]
    whole = full_range(known)
    few = whole_numbers(known, whole)
    shown = whole if few else middle_range(known)
    middle = [
        from_percentiles(s.percentiles, shown, whole=few) if s and s.percentiles else None for s in sides
    ]
    name = f"distribution of {card.name}"
    if few or (shown == whole and len(middle) == 1):
        return _one_chart(sides, middle, whole if few else shown, name, "")
    full: list[Bars | None] = []
    for side in sides:
        if side is None or not side.percentiles:
            full.append(None)
        elif side.edges:
            full.append(from_histogram(side.edges, side.counts, whole))
        else:
            full.append(from_percentiles(side.percentiles, whole, whole=False))
    return _one_chart(sides, middle, shown, f"{name}, its middle 98 %", "middle") + _one_chart(
        sides, full, whole, f"{name}, all values", "full"
    )


def _moment_chart(card: Card, sides: Sequence[Numbers | None]) -> str:
    """When the rows are from, from the first to the last moment of any set."""
    shown = full_range([side.percentiles for side in sides if side and side.percentiles])
    bars = [
        from_percentiles(s.percentiles, shown, whole=False) if s and s.percentiles else None for s in sides
    ]
    known = [side for side in card.sides if side is not None]
    ends = (min(side.first for side in known)[:16], max(side.last for side in known)[:16])
    boxes = [_places(side, shown) for side in sides]
    return distribution(bars, boxes, ends, f"moments of {card.name}: {ends[0]} to {ends[1]}", "")


def _places(side: Numbers | None, shown: Range) -> list[float] | None:
    """Where the 5th, 25th, 50th, 75th and 95th percentile lie."""
    found = side.percentiles if side else ()
    last = len(found) - 1
    return [shown.part(found[round(p * last)]) for p in (0.05, 0.25, 0.5, 0.75, 0.95)] if found else None


def _one_chart(
    sides: Sequence[Numbers | None], bars: Sequence[Bars | None], shown: Range, title: str, css: str
) -> str:
    boxes = [_places(side, shown) for side in sides]
    return distribution(
        bars, boxes, (shown.low, shown.high), f"{title}: {number(shown.low)} to {number(shown.high)}", css
    )


def _value_rows(sides: Sequence[Column | None]) -> list[tuple[str, list[float | None]]]:
    """The most frequent values of any set, the first set's before others."""
    shares: list[dict[str, float]] = []
    for side in sides:
        listed = side.values.listed if side and side.values and side.count else ()
        shares.append({value: rows / side.count for value, rows in listed} if side and side.count else {})
    chosen: dict[str, float] = {}
    for known in shares:
        for value, share in list(known.items())[:LISTED_VALUES]:
            chosen[value] = max(chosen.get(value, 0.0), share)
    best = sorted(chosen, key=lambda value: (-chosen[value], value))[:SHOWN_VALUES]
    best.sort(key=lambda value: (-(shares[0].get(value, 0.0)), value))
    return [
        (value, [known.get(value, _unlisted(side)) for known, side in zip(shares, sides, strict=True)])
        for value in best
    ]


def _unlisted(side: Column | None) -> float | None:
    """The share of a value that a set does not list: nothing if it lists all, else not known."""
    return 0.0 if side and side.values and side.values.complete else None


# --- what is opened -------------------------------------------------------------------------------


def _details(card: Card) -> str:
    parts = [_percentiles(card), _top_values(card), _distances(card)]
    inner = "".join(part for part in parts if part)
    if not inner:
        return ""
    return f'<details><summary>More</summary><div class="more">{inner}</div></details>'


def _percentiles(card: Card) -> str:
    rows = []
    for i, side in enumerate(card.sides):
        found = side.numbers.percentiles if side and side.numbers else ()
        if found:
            last = len(found) - 1
            cells = "".join(f"<td>{number(found[round(p * last / 100)])}</td>" for p in _PERCENTILES)
            rows.append(f"<tr><td>{escaped(card.labels[i], 20)}</td>{cells}</tr>")
    if not rows:
        return ""
    head = "".join(f"<th>{p} %</th>" for p in _PERCENTILES)
    return _table("Quantiles", f"<tr><th></th>{head}</tr>", rows)


def _top_values(card: Card) -> str:
    tables = []
    for i, side in enumerate(card.sides):
        values = side.values if side else None
        if side is None or values is None or not values.listed:
            continue
        rows = [
            f"<tr><td>{name_html(value, 40)}</td><td>{rows:,}</td><td>{percent(rows / side.count)}</td></tr>"
            for value, rows in values.listed[:LISTED_VALUES]
        ]
        more = values.distinct - len(rows)
        if more > 0:
            rows.append(f'<tr><td class="dim">and {more:,} more</td><td></td><td></td></tr>')
        title = f"Values in {escaped(card.labels[i], 40)}"
        tables.append(_table(title, "<tr><th>value</th><th>rows</th><th>share</th></tr>", rows))
    return "".join(tables)


def _distances(card: Card) -> str:
    parts = []
    if found := card.distance:
        known: list[tuple[str, str]] = [
            (
                "Jensen-Shannon divergence",
                f"{number(round(found.jsd, 5))} (by chance about {number(round(found.chance, 5))})",
            )
        ]
        if found.linf is not None:
            known.append(("largest change of one value's share (L∞)", number(round(found.linf, 5))))
        if found.ks is not None:
            known.append(("Kolmogorov-Smirnov", number(round(found.ks, 5))))
        if found.shift is not None:
            known.append(("shift in interquartile ranges", number(round(found.shift, 5))))
        if found.missing is not None:
            known.append(("change of the share missing", number(round(found.missing, 5))))
        rows = [f"<tr><td>{escaped(what)}</td><td>{value}</td></tr>" for what, value in known]
        title = f"{escaped(card.labels[0], 30)} against {escaped(card.labels[1], 30)}"
        parts.append(_table(title, "", rows))
    if card.measures:
        head = "<tr><th>measure</th><th>from</th><th>split</th><th>value</th><th>threshold</th></tr>"
        parts.append(_table("Measured by ExampleValidator", head, [m.html() for m in card.measures]))
    return "".join(parts)


def _table(title: str, head: str, rows: Sequence[str]) -> str:
    return (
        f'<div class="scroll"><h4>{title}</h4><table>{f"<thead>{head}</thead>" if head else ""}'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )
