"""What notebooks show of runs and artifacts: small tables, made of what is on record and in the files.

Everything that comes from data or users is escaped. Looking never fails: what cannot be read is said so
in place of it. Data libraries are loaded only when an artifact needs them.
"""

from __future__ import annotations

import html
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.cli.output import duration, first_line
from tidemill.errors import TidemillError
from tidemill.storage import manifest
from tidemill.types.artifact import Artifact, ValueArtifact

if TYPE_CHECKING:
    from tidemill.interactive.result import NodeResult, Result

ROWS, COLUMNS, FILES = 5, 30, 20
"""The most that is shown of a table, and of an artifact's files."""
_TEXT = 2000
_CELL = 120
_COLORS = {"COMPLETE": "#1a7f37", "CACHED": "#0969da", "SKIPPED": "#9a6700", "FAILED": "#cf222e",
           "CANCELED": "#9a6700", "RUNNING": "#8250df"}  # fmt: skip
_CELL_STYLE = "text-align:left;vertical-align:top;padding:2px 10px"


@dataclass(frozen=True, slots=True)
class Raw:
    """HTML that was made here, and is not escaped again."""

    html: str


def table(headings: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """An HTML table; cells are escaped."""
    head = "".join(f'<th style="{_CELL_STYLE}">{_escaped(h)}</th>' for h in headings)
    body = "".join("<tr>" + "".join(_cell(cell) for cell in row) + "</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def state(name: str) -> Raw:
    """A state, in its colour."""
    shown = name or "not started"
    return Raw(f'<b style="color:{_COLORS.get(name, "#59636e")}">{_escaped(shown)}</b>')


def run_html(result: Result) -> str:
    """A run: a line on it, and its nodes."""
    rows = [(n.id, state(n.state), duration(n.seconds) if n.state else "", first_line(n.message), _outputs(n))
            for n in result.nodes.values()]  # fmt: skip
    title = (
        f"<p>run <b>{_escaped(result.id)}</b> {state(result.state).html} in {duration(result.seconds)}</p>"
    )
    return title + table(("node", "state", "time", "note", "outputs"), rows)


def node_html(node: NodeResult) -> str:
    """A line on a node."""
    took = f" in {duration(node.seconds)}" if node.state else ""
    note = _escaped(first_line(node.message))
    return f"<p><b>{_escaped(node.id)}</b> {state(node.state).html}{took} {note}</p>"


def artifact_line(found: Any) -> str:
    """Type, id and size of an artifact, or of each in a list."""
    if isinstance(found, list):
        return "<br>".join(map(artifact_line, found))
    value = f" = {_short(found.value)}" if isinstance(found, ValueArtifact) else ""
    return _escaped(f"{found.TYPE_NAME} {found.id}{value}, {_size(found)}")


def artifact_html(artifact: Artifact) -> str:
    """An artifact: what is on record of it, and a look into its files."""
    facts: dict[str, object] = {"uri": artifact.uri, "size": _size(artifact), "digest": artifact.digest}
    facts |= {k: v for k, v in {**artifact.properties, **artifact.custom_properties}.items() if k != "bytes"}
    title = f"<p><b>{_escaped(artifact.TYPE_NAME)}</b> {artifact.id}</p>"
    inside = _inside(artifact)
    return title + table(("property", "value"), list(facts.items())) + inside


def _inside(artifact: Artifact) -> str:
    """What the files say, by the artifact's type; the list of files for types that are not known."""
    if isinstance(artifact, ValueArtifact):
        return _pre(_pretty(artifact.value))
    look = next((_LOOKS[c.__name__] for c in type(artifact).__mro__ if c.__name__ in _LOOKS), _files)
    try:
        return look(artifact)
    except Exception as error:  # files may be anything, and a notebook must show the rest
        return f"<p>cannot be shown: {_escaped(f'{type(error).__name__}: {error}')}</p>"


# --- by type --------------------------------------------------------------------------------------


def _examples(artifact: Artifact) -> str:
    import pyarrow.parquet as pq

    parts = []
    for folder in sorted(artifact.path.glob("Split-*")):
        files = sorted(folder.glob("*.parquet"))
        if not files:
            continue
        with pq.ParquetFile(files[0]) as file:
            schema = file.schema_arrow
            batch = next(file.iter_batches(batch_size=ROWS), None)
        rows = sum(pq.read_metadata(path).num_rows for path in files)
        names = schema.names[:COLUMNS]
        more = f", the first {COLUMNS} shown" if len(schema.names) > COLUMNS else ""
        title = f"split {folder.name.removeprefix('Split-')}: {rows} rows, {len(schema.names)} columns{more}"
        headings = [f"{name}: {schema.types[i]}" for i, name in enumerate(names)]
        values = batch.to_pylist() if batch is not None else []
        parts.append(f"<p>{_escaped(title)}</p>")
        parts.append(table(headings, [[row[name] for name in names] for row in values]))
    return "".join(parts) or _files(artifact)


def _statistics(artifact: Artifact) -> str:
    found = _json(artifact.path / "statistics.json")
    parts = []
    for name, split in found["splits"].items():
        rows = []
        for column in split["columns"][:COLUMNS]:
            numbers, texts = column.get("numeric") or {}, column.get("string") or {}
            rows.append((column["name"], column["type"], column["count"], column["missing"],
                         numbers.get("mean"), numbers.get("min"), numbers.get("max"),
                         texts.get("distinct")))  # fmt: skip
        parts.append(f"<p>{_escaped(f'split {name}')}: {split['num_rows']} rows</p>")
        headings = ("column", "type", "values", "missing", "mean", "min", "max", "distinct")
        parts.append(table(headings, rows))
    return "".join(parts)


def _schema(artifact: Artifact) -> str:
    import yaml

    found = yaml.safe_load((artifact.path / "schema.yaml").read_text(encoding="utf-8"))
    rows = []
    for name, column in list(found["columns"].items())[:COLUMNS]:
        rest = {k: v for k, v in column.items() if k not in ("type", "required")}
        rows.append((name, column.get("type"), column.get("required", True), _short(rest) if rest else ""))
    return table(("column", "type", "required", "limits"), rows)


def _evaluation(artifact: Artifact) -> str:
    found = _json(artifact.path / "evaluation.json")
    baseline = found.get("baseline") or {}
    rows = [(name, value, baseline.get(name)) for name, value in found["model"].items()]
    return f"<p>{found.get('rows')} rows</p>" + table(("metric", "model", "baseline"), rows)


def _model(artifact: Artifact) -> str:
    path = artifact.path / "model.json"
    if not path.exists():
        return _files(artifact)
    found = _json(path)
    found |= found.get("environment", {})
    names = ("framework", "framework_version", "flavor", "task", "label", "python", "run_fn",
             "transform_graph", "libraries", "details")  # fmt: skip
    rows = [(name, _short(found[name])) for name in names if found.get(name)]
    inputs = [(f["name"], f["type"]) for f in found.get("features", ())] or found.get("inputs")
    if inputs:
        rows.append(("inputs", ", ".join(f"{name}: {kind}" for name, kind in inputs[:COLUMNS])))
    return table(("manifest", ""), rows) + _files(artifact)


def _files(artifact: Artifact) -> str:
    found = manifest.read(artifact.path)
    if found is None:
        return f"<p>{_escaped(f'there are no files at {artifact.path}')}</p>"
    rows = [(f.path, size_text(f.size)) for f in found.files[:FILES]]
    if len(found.files) > FILES:
        rows.append((f"and {len(found.files) - FILES} more", ""))
    return table(("file", "size"), rows)


_LOOKS: Mapping[str, Callable[[Artifact], str]] = {
    "Examples": _examples, "InferenceResult": _examples, "ExampleStatistics": _statistics,
    "Schema": _schema, "ModelEvaluation": _evaluation, "Model": _model,
}  # fmt: skip


# --- pieces ---------------------------------------------------------------------------------------


def size_text(count: int) -> str:
    """Bytes in the unit that reads best: `812 B`, `3.4 MiB`."""
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"


def _size(artifact: Artifact) -> str:
    known = artifact.custom_properties.get("bytes")
    return size_text(known) if isinstance(known, int) else "size unknown"


def _outputs(node: NodeResult) -> Raw:
    return Raw("<br>".join(f"{_escaped(name)}: {artifact_line(a)}" for name, a in node.outputs.items()))


def _cell(value: Any) -> str:
    return (
        f'<td style="{_CELL_STYLE}">{value.html if isinstance(value, Raw) else _escaped(_plain(value))}</td>'
    )


def _plain(value: Any) -> str:
    if value is None:
        return ""
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _CELL else text[: _CELL - 3] + "..."


def _short(value: Any) -> str:
    try:
        text = json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _CELL else text[: _CELL - 3] + "..."


def _pretty(value: Any) -> str:
    try:
        text = json.dumps(value, indent=1, ensure_ascii=False)
    except (TypeError, ValueError):
        text = repr(value)
    return text if len(text) <= _TEXT else text[:_TEXT] + "\n..."


def _pre(text: str) -> str:
    return f"<pre>{_escaped(text)}</pre>"


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise TidemillError(f"{path.name} is not there: {error.strerror}") from None


def _escaped(text: str) -> str:
    return html.escape(text, quote=True)
