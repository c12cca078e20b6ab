"""The pictures of an evaluation: ROC, precision and recall, calibration, scores, thresholds and more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemill.pages.charts import lines, svg
from tidemill.pages.measured import Evaluated
from tidemill.pages.text import escaped, finite, number, percent

Points = list[tuple[float, float]]
MATRIX_MOST = 20
"""Classes of a confusion matrix that are drawn."""
LISTED_THRESHOLDS = 21


def figures(found: Evaluated) -> Iterator[str]:
    """Every picture there is data for, the model in blue and the baseline in orange."""
    model, baseline = found.plots, found.baseline_plots
    for name, title, labels, note, diagonal in (
        ("roc", "ROC", ("false positive rate", "true positive rate"),
         "How many negatives are taken for each share of positives found; the dashed line is chance.", True),
        ("pr", "Precision and recall", ("recall", "precision"),
         "How much of what is called positive is, for each share of positives found.", False),
    ):  # fmt: skip
        series = [
            (_curve(side.get(name)), css)
            for side, css in ((model, "a"), (baseline, "b dash"))
            if side.get(name)
        ]
        if any(points for points, _ in series):
            yield _figure(title, note, lines(series, title, labels=labels, diagonal=diagonal))
    if model.get("calibration"):
        yield _calibration(model, baseline)
    if model.get("scores"):
        yield _scores(model["scores"])
    if model.get("confusions"):
        yield _thresholds(model["confusions"])
    if model.get("lift"):
        yield _lift(model["lift"], baseline.get("lift") or ())
    if model.get("residuals"):
        yield _residuals(model["residuals"], baseline.get("residuals") or ())


def _figure(title: str, note: str, picture: str) -> str:
    return f"<figure><figcaption>{escaped(title)}</figcaption><p>{escaped(note, 200)}</p>{picture}</figure>"


def _curve(value: Mapping[str, Any] | None) -> Points:
    pairs = zip((value or {}).get("x") or (), (value or {}).get("y") or (), strict=False)
    return _points(pairs)


def _points(pairs: Any) -> Points:
    """Pairs of which both are numbers."""
    found = ((finite(x), finite(y)) for x, y in pairs)
    return [(x, y) for x, y in found if x is not None and y is not None]


def _calibration(model: Mapping[str, Any], baseline: Mapping[str, Any]) -> str:
    def of(bins: Sequence[Mapping[str, Any]]) -> Points:
        return _points((b["mean_prediction"], b["mean_label"]) for b in bins if finite(b["weight"]))

    heaviest = max((finite(b["weight"]) or 0.0 for b in model["calibration"]), default=0.0)
    dots = []
    for part in model["calibration"]:
        x, y, weight = (finite(part[key]) for key in ("mean_prediction", "mean_label", "weight"))
        if x is None or y is None or not weight or heaviest <= 0:
            continue
        radius = 1.5 + 6 * (weight / heaviest) ** 0.5
        at_x, at_y = 40 + 250 * min(max(x, 0.0), 1.0), 260 - 250 * min(max(y, 0.0), 1.0)
        dots.append(f'<circle class="a fill" cx="{at_x:.1f}" cy="{at_y:.1f}" r="{radius:.1f}"/>')
    series = [(of(model["calibration"]), "a")]
    if baseline.get("calibration"):
        series.append((of(baseline["calibration"]), "b dash"))
    picture = lines(
        series,
        "calibration",
        labels=("mean prediction", "share of positives"),
        diagonal=True,
        under="".join(dots),
    )
    return _figure(
        "Calibration",
        "Whether a score of 0.3 means 30 %: on the dashed line it does. Dots grow with the rows.",
        picture,
    )


def _scores(pairs: Sequence[Sequence[Any]]) -> str:
    """Two distributions over each other, each with its own total, so that a rare class is seen."""
    sides = [[finite(pair[i]) or 0.0 for pair in pairs] for i in (0, 1)]
    shares = [[value / (sum(side) or 1.0) for value in side] for side in sides]
    top = max((v for side in shares for v in side), default=0.0) or 1.0
    width = 250 / len(pairs)
    under = []
    for side, css in zip(shares, ("b", "a"), strict=True):
        path = "".join(
            f"M{40 + i * width + 0.5:.1f} 260V{260 - 250 * v / top:.1f}h{width - 1:.1f}V260Z"
            for i, v in enumerate(side)
            if v > 0
        )
        under.append(f'<path class="{css}" opacity="0.55" d="{path}"/>')
    picture = lines(
        [], "scores", labels=("score", "share of the rows of a class"), high=(1.0, top), under="".join(under)
    )
    return _figure("Scores", "Blue: rows that are positive. Orange: rows that are not.", picture)


def _thresholds(confusions: Sequence[Mapping[str, Any]]) -> str:
    """Precision, recall and F1 for each threshold, as curves and as a table of some."""
    rates = []
    for c in confusions:
        threshold, tp, fp, tn, fn = (finite(c[key]) or 0.0 for key in ("threshold", "tp", "fp", "tn", "fn"))
        precision = tp / (tp + fp) if tp + fp else None
        recall = tp / (tp + fn) if tp + fn else None
        f1 = 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else None
        rates.append((threshold, (tp, fp, tn, fn), (precision, recall, f1)))
    rates.sort(key=lambda item: item[0])
    ends = (min(rates[0][0], 0.0), max(rates[-1][0], 1.0))
    series = [
        (_points((threshold, three[i]) for threshold, _, three in rates), css)
        for i, css in enumerate(("a", "b", "c"))
    ]
    picture = lines(
        series, "thresholds", labels=("threshold", "rate"), low=(ends[0], 0.0), high=(ends[1], 1.0)
    )
    step = max(1, (len(rates) - 1) // (LISTED_THRESHOLDS - 1))
    rows = "".join(
        f"<tr><td>{number(threshold)}</td>{''.join(f'<td>{number(n)}</td>' for n in counts)}"
        f"{''.join(f'<td>{percent(rate)}</td>' for rate in three)}</tr>"
        for threshold, counts, three in rates[::step]
    )
    heads = ("threshold", "true +", "false +", "true −", "false −", "precision", "recall", "F1")
    table = (
        '<details><summary>Confusion by threshold</summary><div class="scroll"><table><thead><tr>'
        f"{''.join(f'<th>{h}</th>' for h in heads)}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )
    keys = "".join(
        f'<span class="key"><i class="{css}"></i>{word}</span>'
        for css, word in (("a", "precision"), ("b", "recall"), ("c", "F1"))
    )
    return f"<figure><figcaption>Thresholds</figcaption><p>{keys}</p>{picture}{table}</figure>"


def _lift(points: Sequence[Mapping[str, Any]], old: Sequence[Mapping[str, Any]]) -> str:
    def of(some: Sequence[Mapping[str, Any]]) -> Points:
        return [(0.0, 0.0), *_points((p["share"], p["captured"]) for p in some)]

    series = [(of(points), "a")] + ([(of(old), "b dash")] if old else [])
    picture = lines(
        series,
        "gain",
        labels=("share of the rows, highest scores first", "share of positives"),
        diagonal=True,
    )
    return _figure("Gain", "How many of the positives are among the rows with the highest scores.", picture)


def _residuals(pairs: Sequence[Sequence[Any]], old: Sequence[Sequence[Any]]) -> str:
    series = [(_points(pairs), "a")] + ([(_points(old), "b dash")] if old else [])
    heights = [y for points, _ in series for _, y in points]
    if not heights:
        return ""
    low, high = min(heights), max(heights)
    picture = lines(
        series,
        "residuals",
        labels=("share of the rows", "prediction − label"),
        low=(0.0, low),
        high=(1.0, high),
    )
    return _figure("Residuals", "The error that this share of the rows does not exceed.", picture)


def matrix(value: Mapping[str, Any] | None) -> str:
    """A confusion matrix: rows are labels, columns predictions, shades the share of the row."""
    if not value:
        return ""
    classes, counts = [str(c) for c in value["classes"]], value["counts"]
    shown = classes[:MATRIX_MOST]
    head = "".join(f"<th>{escaped(name, 14)}</th>" for name in shown)
    rows = []
    for i, name in enumerate(shown):
        line = [finite(n) or 0.0 for n in counts[i]]
        total = sum(line) or 1.0
        cells = "".join(
            f'<td title="{percent(n / total)}">{number(n)}{_shade(n / total)}</td>'
            for n in line[:MATRIX_MOST]
        )
        rows.append(f"<tr><th>{escaped(name, 24)}</th>{cells}<td>{percent(line[i] / total)}</td></tr>")
    more = (
        f'<p class="dim">the first {MATRIX_MOST} of {len(classes)} classes</p>'
        if len(classes) > MATRIX_MOST
        else ""
    )
    return (
        '<h2>Confusion</h2><p class="dim">Rows are labels, columns predictions; bars are shares of a row.</p>'
        f'<div class="scroll"><table><thead><tr><th></th>{head}<th>recall</th></tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>{more}"
    )


def _shade(share: float) -> str:
    return svg(
        f'<rect class="a fill" width="{60 * share:.1f}" height="4"/>', percent(share), width=60, height=4
    )
