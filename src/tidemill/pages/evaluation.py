"""The page of an evaluation: the verdict and why, metrics, curves, slices, gaps between groups."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.pages.charts import interval
from tidemill.pages.curves import figures, matrix
from tidemill.pages.document import Facts, document
from tidemill.pages.measured import Estimate, Evaluated, Part, read_evaluated
from tidemill.pages.text import escaped, finite, name_html, number, percent

SLICES_MOST = 400
"""Slices that are listed for each metric."""
GROUPS_MOST = 12
_SIDES = (("a", "model"), ("b", "baseline"))


def evaluation_page(
    evaluation: Any, *, blessing: Any = None, title: str = "Evaluation", facts: Facts = ()
) -> str:
    """A page from the content of `evaluation.json`.

    blessing: the content of the `blessing.json` beside it, which holds the verdict of older evaluations.
    facts: what else is known, shown at the top. DataError when a document is something else.
    """
    found = read_evaluated(evaluation, blessing)
    pictures = "".join(figures(found))
    body = [
        _verdict(found),
        _tiles(found),
        _metrics(found),
        _checks(found),
        f'<h2>Curves</h2>{_sides(found)}<div class="charts">{pictures}</div>' if pictures else "",
        matrix(found.plots.get("matrix")),
        _slices(found),
        _gaps(found.gaps),
        _challengers(found),
        _notes(found.notes),
    ]
    return document(title, f"<main>{''.join(body)}</main>", facts=facts)


def _verdict(found: Evaluated) -> str:
    if not found.verdict:
        return ""
    css = {"BLESSED": "good", "NOT_BLESSED": "bad"}.get(found.verdict, "")
    word = {"BLESSED": "Blessed", "NOT_BLESSED": "Not blessed"}.get(found.verdict, found.verdict)
    reasons = "".join(f"<li>{escaped(reason, 800)}</li>" for reason in found.reasons)
    return f'<section class="verdict {css}"><strong>{escaped(word)}</strong><ul>{reasons}</ul></section>'


def _tiles(found: Evaluated) -> str:
    failed = sum(check.passed is False for check in found.checks)
    tiles = [("", number(found.whole.rows), "rows measured"), ("", number(len(found.parts)), "slices")]
    if found.unlabelled:
        tiles.append(("warn", number(found.unlabelled), "rows without a label"))
    if found.checks:
        tiles.append(("bad" if failed else "good", number(failed), f"of {len(found.checks)} checks failed"))
    if found.task:
        tiles.append(("", escaped(found.task), f"of {escaped(found.label, 40)}" if found.label else "task"))
    if found.splits:
        tiles.append(
            ("", escaped(", ".join(found.splits), 30), "split" if len(found.splits) == 1 else "splits")
        )
    shown = "".join(
        f'<div class="tile {css}"><b>{value}</b><span>{word}</span></div>' for css, value, word in tiles
    )
    return f'<div class="tiles">{shown}</div>'


def _sides(found: Evaluated) -> str:
    if not found.baseline_plots:
        return ""
    keys = [f'<span class="key"><i class={css}></i>{word}</span>' for css, word in _SIDES]
    return f"<p>{''.join(keys)}</p>"


# --- metrics and checks ---------------------------------------------------------------------------


def _metrics(found: Evaluated) -> str:
    compared = bool(found.whole.baseline)
    level = percent(found.confidence)
    heads = ["metric", "model", f"{level} interval"]
    heads += ["baseline", "change", f"{level} interval", ""] if compared else []
    rows = []
    for name, estimate in found.whole.model.items():
        cells = [name_html(name), _value(estimate), _ends(estimate)]
        if compared:
            old, change = found.whole.baseline.get(name), found.whole.changes.get(name)
            cells += [_value(old), _signed(change), _ends(change), _sure(change)]
        rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
    note = ""
    if not compared:
        note = '<p class="dim">There was no baseline to compare with.</p>'
    return f"<h2>Metrics</h2>{_table(heads, rows)}{note}"


def _checks(found: Evaluated) -> str:
    if not found.checks:
        return ""
    rows = []
    for check in sorted(found.checks, key=lambda c: (c.passed is not False, c.passed is None)):
        css, word = ("note", "not judged")
        if check.passed is not None:
            css, word = ("good", "passed") if check.passed else ("bad", "failed")
        rows.append(
            f'<tr><td><span class="badge {css}">{word}</span></td><td>{name_html(check.metric)}</td>'
            f"<td>{name_html(check.place)}</td><td>{escaped(check.text, 600)}</td></tr>"
        )
    return f"<h2>Thresholds</h2>{_table(['', 'metric', 'slice', 'what was found'], rows, css='words')}"


# --- slices ---------------------------------------------------------------------------------------


def _slices(found: Evaluated) -> str:
    if not found.parts:
        return ""
    parts = []
    for place, metric in enumerate(found.metrics):
        shown = f"<summary>{name_html(metric)}</summary>{_of_metric(found, metric)}"
        parts.append(f"<details{' open' if place == 0 else ''}>{shown}</details>")
    more = ""
    if len(found.parts) > SLICES_MOST:
        more = f'<p class="dim">the first {SLICES_MOST} of {len(found.parts):,} slices</p>'
    note = (
        '<p class="dim">A gap is marked when the interval of the slice does not hold the value of all rows, '
        "which is the dashed line.</p>"
    )
    return f"<h2>Slices</h2>{note}{''.join(parts)}{more}"


def _of_metric(found: Evaluated, metric: str) -> str:
    whole = found.whole.model.get(metric, Estimate(value=None))
    shown = [part for part in found.parts if metric in part.model][:SLICES_MOST]
    numbers = [v for part in shown for v in _three(part.model[metric]) if v is not None]
    if whole.value is not None:
        numbers.append(whole.value)
    if not numbers:
        reasons = {part.model[metric].reason for part in shown} - {""}
        why = escaped("; ".join(sorted(reasons)) or "it is not defined there", 300)
        return f'<p class="dim">no slice has a value: {why}</p>'
    bounds = (min(numbers), max(numbers))
    compared = any(part.baseline for part in shown)
    heads = ["slice", "rows", "value", "", "gap to all", *(["baseline", "change"] if compared else [])]
    rows = [_slice_row(part, metric, whole, bounds, compared) for part in shown]
    return _table(heads, rows, css="sortable")


def _slice_row(part: Part, metric: str, whole: Estimate, bounds: tuple[float, float], compared: bool) -> str:
    estimate = part.model[metric]
    picture, gap, far = "", None, False
    if estimate.value is not None:
        low, high = estimate.ends or (estimate.value, estimate.value)
        told = f"{part.name}: {number(estimate.value)}, {number(low)} to {number(high)}"
        picture = (
            f'<span class="interval">{interval(low, estimate.value, high, bounds, told, whole.value)}</span>'
        )
        if whole.value is not None:
            gap = estimate.value - whole.value
            far = estimate.excludes(whole.value)
    cells = [
        f"<td>{name_html(part.name)}</td>", f'<td data-sort="{part.rows}">{part.rows:,}</td>',
        f'<td data-sort="{_sort(estimate.value)}">{_value(estimate)}</td>', f"<td>{picture}</td>",
        f'<td data-sort="{_sort(gap)}"{" class=warn" if far else ""}>{_plus(gap)}{" •" if far else ""}</td>',
    ]  # fmt: skip
    if compared:
        old, change = part.baseline.get(metric), part.changes.get(metric)
        cells.append(f'<td data-sort="{_sort(old.value if old else None)}">{_value(old)}</td>')
        cells.append(f'<td data-sort="{_sort(change.value if change else None)}">{_signed(change)}</td>')
    return f"<tr>{''.join(cells)}</tr>"


def _three(estimate: Estimate) -> tuple[float | None, ...]:
    return (estimate.value, estimate.low, estimate.high)


# --- groups, challengers, notes -------------------------------------------------------------------


def _gaps(gaps: Sequence[Mapping[str, Any]]) -> str:
    """How far the groups of some columns lie apart, metric by metric."""
    rows = []
    for gap in gaps:
        groups = list((gap.get("groups") or {}).items())
        listed = "; ".join(
            f"{name_html(str(name), 40)} {number(value)}" for name, value in groups[:GROUPS_MOST]
        )
        if len(groups) > GROUPS_MOST:
            listed += f" and {len(groups) - GROUPS_MOST} more"
        columns = " × ".join(map(str, gap.get("columns") or ()))
        rows.append(
            f"<tr><td>{name_html(columns)}</td><td>{name_html(str(gap.get('metric', '')))}</td>"
            f"<td>{number(gap.get('gap'))}</td><td>{number(gap.get('ratio'))}</td>"
            f"<td>{escaped(str(gap.get('reference') or 'each other'))}</td><td>{listed}</td></tr>"
        )
    if not rows:
        return ""
    heads = ["groups by", "metric", "largest gap", "smallest ratio", "compared with", "values"]
    return f"<h2>Gaps between groups</h2>{_table(heads, rows, css='words')}"


def _challengers(found: Evaluated) -> str:
    if not found.challengers:
        return ""
    heads = ["", "metric", "value", "interval", "minus the model"]
    rows = [
        f"<tr><td>model {model_id}</td><td>{name_html(metric)}</td><td>{_value(estimate)}</td>"
        f"<td>{_ends(estimate)}</td><td>{_signed(part.changes.get(metric))}</td></tr>"
        for model_id, part in found.challengers
        for metric, estimate in part.model.items()
    ]
    return f"<h2>Challengers</h2>{_table(heads, rows, css='sortable')}"


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    return f"<h2>Notes</h2><ul>{''.join(f'<li>{escaped(note, 600)}</li>' for note in notes)}</ul>"


# --- pieces ---------------------------------------------------------------------------------------


def _table(heads: Sequence[str], rows: Sequence[str], *, css: str = "") -> str:
    head = "".join(f'<th scope="col">{escaped(heading)}</th>' for heading in heads)
    kind = f' class="{css}"' if css else ""
    table = f"<table{kind}><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>"
    return f'<div class="scroll">{table}</div>'


def _value(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    if estimate.value is None:
        why = f' title="{escaped(estimate.reason, 300)}"' if estimate.reason else ""
        return f'<span class="dim"{why}>–</span>'
    return _figure(estimate.value)


def _ends(estimate: Estimate | None) -> str:
    if estimate is None or estimate.ends is None:
        return '<span class="dim">–</span>'
    return f'<span class="dim">{_figure(estimate.ends[0])} to {_figure(estimate.ends[1])}</span>'


def _signed(change: Estimate | None) -> str:
    return _plus(change.value if change else None)


def _plus(value: float | None) -> str:
    if value is None:
        return "–"
    return f"+{_figure(value)}" if value > 0 else _figure(value)


def _figure(value: float) -> str:
    """Four significant digits: no evaluation has more to say."""
    return number(float(f"{value:.4g}"))


def _sure(change: Estimate | None) -> str:
    """Whether the change is more than chance."""
    if change is None or change.ends is None:
        return ""
    if change.excludes(0.0):
        return '<span class="badge note">more than chance</span>'
    return '<span class="badge">may be chance</span>'


def _sort(value: Any) -> str:
    found = finite(value)
    return "" if found is None else repr(found)
