"""The page of statistics: what every column looks like, what is wrong with it, and how it moved.

One set of statistics is shown with its splits over each other. Two are shown split by split, the second
as what the first is compared with. It is what TFX's users know as Facets Overview, made without a script.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.pages.card import Card, card_html, make_card
from tidemill.pages.charts import LETTERS
from tidemill.pages.columns import Split, read_splits
from tidemill.pages.document import Facts, document
from tidemill.pages.drift import FAR, MOVED
from tidemill.pages.problems import Findings, problem_list, read_findings
from tidemill.pages.text import count_of, escaped, name_html, number

DRAWN = 240
"""Columns that get charts: a page of thousands of columns must still open. The most notable ones do."""
NAMED = 12
"""Columns that the overview names."""
_SORTS = (
    ("", "order of the data"), ("weight", "what stands out"), ("name", "name"), ("drift", "distance"),
    ("missing", "missing"), ("zeros", "zeros"), ("distinct", "distinct values"),
)  # fmt: skip


def statistics_page(
    statistics: Any,
    *,
    against: Any = None,
    anomalies: Any = None,
    title: str = "Statistics",
    names: tuple[str, str] = ("this", "other"),
    facts: Facts = (),
) -> str:
    """A page from the content of `statistics.json`.

    against: the content of another one, to compare with. anomalies: the content of the `anomalies.json`
    that was found in `statistics`. names: what the two sets are called where they stand together. facts:
    what else is known, shown at the top. DataError when a document is something else.
    """
    splits = read_splits(statistics)
    other = None if against is None else read_splits(against)
    found = None if anomalies is None else read_findings(anomalies)
    if other is None:
        sections = [_section("", list(splits.values()), list(splits), found, "")]
    else:
        sections = [
            _section(name, [splits[name], other[name]], list(names), found, f"s{i}-")
            for i, name in enumerate(splits)
            if name in other
        ]
    cards = [card for _, made in sections for card in made]
    body = [_tiles(splits, other, cards, found)]
    if other is not None:
        body.append(_unmatched(splits, other, names))
    if found is not None:
        body.append(_whole(found, {card.name for card in cards}))
    body += [_notable(cards), _bar(cards), *(html for html, _ in sections), _footer()]
    return document(title, f"<main>{''.join(body)}</main>", facts=facts)


def _section(split: str, sets: Sequence[Split], labels: Sequence[str], found: Findings | None,
             prefix: str) -> tuple[str, list[Card]]:  # fmt: skip
    """All columns of the sets, and their cards; `split` names the section, if there are several."""
    order = list(dict.fromkeys(name for one in sets for name in one.columns))
    problems, measures = _by_column(found, split)
    cards = [
        make_card(
            name, place, f"{prefix}{place}", [one.columns.get(name) for one in sets], labels,
            problems.get(name, ()), measures.get(name, ()),
        )
        for place, name in enumerate(order)
    ]  # fmt: skip
    best = heapq.nsmallest(DRAWN, cards, key=lambda card: (-card.weight, card.place))
    drawn = {card.anchor for card in best}
    keys = "".join(
        f'<span class="key"><i class="{LETTERS[i]}"></i>{name_html(label, 40)} '
        f"<span class=dim>{count_of(one.rows, 'row')}</span></span>"
        for i, (label, one) in enumerate(zip(labels, sets, strict=True))
        if i < len(LETTERS)
    )
    head = f"<h2>Split {name_html(split)}</h2>" if split else "<h2>Columns</h2>"
    note = ""
    if len(cards) > len(drawn):
        note = (
            f'<p class="dim">{len(cards):,} columns: the {len(drawn)} that stand out most, or come first, '
            "have charts.</p>"
        )
    items = "".join(card_html(card, small=card.anchor not in drawn) for card in cards)
    html = (
        f"<section data-columns><div>{head}{keys}"
        f'<span class="shown dim" aria-live="polite"></span>{note}</div>'
        f'{items}<div class="pager"><button type="button" data-step="-1">← before</button>'
        '<span></span><button type="button" data-step="1">next →</button></div></section>'
    )
    return html, cards


def _by_column(found: Findings | None, split: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    if found is None:
        return {}, {}
    wanted = ("", split) if split else None
    chosen = Findings(
        problems=tuple(p for p in found.problems if wanted is None or p.split in wanted),
        measures=tuple(m for m in found.measures if wanted is None or m.split in wanted),
    )
    return chosen.of_column(), chosen.measures_of_column()


# --- the overview ---------------------------------------------------------------------------------


def _tiles(splits: Mapping[str, Split], other: Mapping[str, Split] | None, cards: Sequence[Card],
           found: Findings | None) -> str:  # fmt: skip
    names = {name for split in splits.values() for name in split.columns}
    tiles = [
        ("", number(sum(split.rows for split in splits.values())), "rows"),
        ("", number(len(names)), "columns"),
        ("", number(len(splits)), "split" if len(splits) == 1 else "splits"),
    ]
    gaps = {card.name for card in cards if any(side and side.missing for side in card.sides)}
    tiles.append(("", number(len(gaps)), "columns with missing values"))
    if found is not None:
        warnings = len(found.problems) - found.errors
        tiles.append(("bad" if found.errors else "good", number(found.errors), "errors"))
        tiles.append(("warn" if warnings else "good", number(warnings), "warnings"))
    if other is not None or len(splits) > 1:
        moved = {card.name for card in cards if card.distance and card.distance.level}
        tiles.append(("warn" if moved else "good", number(len(moved)), "columns moved"))
    shown = "".join(
        f'<div class="tile {css}"><b>{value}</b><span>{word}</span></div>' for css, value, word in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _unmatched(splits: Mapping[str, Split], other: Mapping[str, Split], names: tuple[str, str]) -> str:
    """Splits that only one side has: they cannot be compared, and are not left out in silence."""
    said = [f"{name_html(n)} is only in {escaped(names[0])}" for n in splits if n not in other]
    said += [f"{name_html(n)} is only in {escaped(names[1])}" for n in other if n not in splits]
    return f'<p><span class="badge warn">not compared</span>Splits: {"; ".join(said)}.</p>' if said else ""


def _whole(found: Findings, known: set[str]) -> str:
    """The anomalies that belong to no column that is shown."""
    rest = [p for p in found.problems if p.column not in known]
    measures = [m for m in found.measures if not m.column]
    table = ""
    if measures:
        rows = "".join(m.html() for m in measures)
        table = (
            '<div class="scroll"><table><thead><tr><th>measure</th><th>from</th><th>split</th><th>value</th>'
            f"<th>threshold</th></tr></thead><tbody>{rows}</tbody></table></div>"
        )
    if not rest and not table:
        return ""
    return f"<h2>The rows as a whole</h2>{problem_list(rest, with_place=True)}{table}"


def _notable(cards: Sequence[Card]) -> str:
    """Links to the columns to look at first."""
    seen: dict[str, Card] = {}
    for card in sorted((card for card in cards if card.notable), key=lambda card: -card.weight):
        seen.setdefault(card.name, card)
    chosen = list(seen.values())
    if not chosen:
        return ""
    links = []
    for card in chosen[:NAMED]:
        errors = sum(p.severe for p in card.problems)
        css = "bad" if errors or card.weight >= 1000 else "warn"
        links.append(f'<a class="badge {css}" href="#{card.anchor}">{name_html(card.name, 40)}</a>')
    more = f" and {len(chosen) - NAMED:,} more" if len(chosen) > NAMED else ""
    return f'<p><span class="dim">Look at first:</span> {"".join(links)}{more}</p>'


def _bar(cards: Sequence[Card]) -> str:
    kinds = sorted({card.first.kind for card in cards})
    options = "".join(f'<option value="{escaped(kind)}">{escaped(kind)}</option>' for kind in kinds)
    sorts = "".join(f'<option value="{value}">{words}</option>' for value, words in _SORTS)
    return (
        '<div class="bar"><label class="needs-script">Find <input type="search" name="find"></label>'
        '<label class="needs-script">Type <select name="kind"><option value="">all</option>'
        f"{options}</select></label>"
        f'<label class="needs-script">Sort by <select name="sort">{sorts}</select></label>'
        '<label class="needs-script"><input type="checkbox" name="only"> only what stands out</label>'
        '<label><input type="checkbox" id="full"> all values</label>'
        '<label><input type="checkbox" id="log"> log scale</label></div>'
    )


def _footer() -> str:
    return (
        "<footer><p>Charts show the middle 98 % of the numbers unless <i>all values</i> is chosen; heights "
        "are densities. Below each: the 5th, 25th, 50th, 75th and 95th percentile. A column has <i>moved</i> "
        f"when its Jensen-Shannon divergence is {MOVED:g} or more and four times what chance gives, and "
        f"<i>far</i> from {FAR:g} on.</p></footer>"
    )
