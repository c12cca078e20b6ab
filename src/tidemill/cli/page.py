"""`tidemill artifacts page`: an artifact as a page for the browser.

The pages themselves are drawn by `tidemill.pages` from JSON; here the files are found, and with them what
the record knows of their neighbours: the anomalies of statistics, the baseline of anomalies, the verdict
on an evaluation.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from tidemill.cli.workspace import Workspace, workspace_options
from tidemill.errors import DataError, RunnerError, StorageError
from tidemill.metadata.model import Artifact, EventType
from tidemill.runtime.resolve import DIGEST
from tidemill.storage import mirror

if TYPE_CHECKING:
    from tidemill.metadata.store import MetadataStore

FILES: Mapping[str, str] = {
    "ExampleStatistics": "statistics.json", "ExampleAnomalies": "anomalies.json",
    "ModelEvaluation": "evaluation.json", "ModelBlessing": "blessing.json",
}  # fmt: skip
"""Types of artifacts that there are pages of, or that belong to one, and the file each is drawn from."""
_HINT = "pages are made of ExampleStatistics, ExampleAnomalies and ModelEvaluation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """The content of one file, and what its artifact is called."""

    content: Any
    name: str
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sources:
    """All that goes into one page. Either `statistics` or `evaluation` is there."""

    statistics: Part | None = None
    against: Part | None = None
    anomalies: Part | None = None
    evaluation: Part | None = None
    blessing: Part | None = None


@click.command("page")
@click.argument("artifact")
@click.option("--against", default="", metavar="ARTIFACT", help="Other statistics, to see what moved.")
@click.option(
    "--anomalies", default="", metavar="ARTIFACT", help="Anomalies to show, in place of the newest."
)
@click.option(
    "--output",
    "-o",
    default="",
    metavar="FILE",
    help="Where to write; - for stdout.  [default: NAME.html here]",
)
@workspace_options
def page(artifact: str, against: str, anomalies: str, output: str, workspace: Workspace) -> None:
    """Write a page that shows an artifact: one HTML file that needs nothing but a browser.

    ARTIFACT is a number that `artifacts list` prints, or the folder of an artifact's files. There are pages
    of ExampleStatistics, of ExampleAnomalies beside their statistics, and of ModelEvaluation.

    \b
      tidemill artifacts page 2
      tidemill artifacts page 12 --against 2 -o moved.html
    """
    sources = _sources(workspace, artifact, against, anomalies)
    text = draw(sources)
    if output == "-":
        click.echo(text, nl=False)
        return
    path = Path(output or f"{_file_name(artifact)}.html")
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise RunnerError(f"the page cannot be written: {error.strerror}", where=str(path)) from None
    click.echo(f"{path}  {len(text.encode()):,} bytes")


def draw(sources: Sources) -> str:
    """The page of what was found."""
    from tidemill.pages.evaluation import evaluation_page
    from tidemill.pages.statistics import statistics_page

    if sources.statistics is not None:
        other, found = sources.against, sources.anomalies
        title = f"Statistics: {sources.statistics.name}"
        if other is not None:
            title += f", against {other.name}"
        return statistics_page(
            sources.statistics.content,
            against=None if other is None else other.content,
            anomalies=None if found is None else found.content,
            title=title,
            names=(sources.statistics.name, other.name if other else ""),
            facts=(*sources.statistics.facts, *((("anomalies", found.name),) if found else ())),
        )
    assert sources.evaluation is not None
    return evaluation_page(
        sources.evaluation.content,
        blessing=None if sources.blessing is None else sources.blessing.content,
        title=f"Evaluation: {sources.evaluation.name}",
        facts=sources.evaluation.facts,
    )


def read_part(folder: Path, kind: str, name: str, facts: tuple[tuple[str, str], ...] = ()) -> Part:
    """The file of an artifact of a type that FILES has. DataError when it is absent or no JSON."""
    path = folder / FILES[kind]
    try:
        return Part(content=json.loads(path.read_text(encoding="utf-8")), name=name, facts=facts)
    except OSError as error:
        raise DataError(f"{path.name} cannot be read: {error.strerror}", where=str(path)) from None
    except ValueError as error:
        raise DataError(f"{path.name} is not JSON: {error}", where=str(path)) from None


def kind_of_folder(folder: Path) -> str:
    """The type that a folder of files is of. RunnerError when there is no page of it."""
    for kind, name in FILES.items():
        if (folder / name).is_file():
            return kind
    raise RunnerError(f"there is nothing to make a page of in {folder}", hint=_HINT)


# --- finding --------------------------------------------------------------------------------------


def _sources(workspace: Workspace, artifact: str, against: str, anomalies: str) -> Sources:
    words = (artifact, against, anomalies)
    store = workspace.open_existing() if any(word.isdecimal() for word in words) else None
    try:
        found = _find(store, artifact)
        sources = _around(store, found)
        if sources.statistics is None:
            if against or anomalies:
                option = "--against" if against else "--anomalies"
                raise RunnerError(f"{option} is for statistics, and {found.name} is {found.kind}", hint=_HINT)
            return sources
        return Sources(
            statistics=sources.statistics,
            against=_find(store, against).part("ExampleStatistics") if against else sources.against,
            anomalies=_find(store, anomalies).part("ExampleAnomalies") if anomalies else sources.anomalies,
        )
    finally:
        if store is not None:
            store.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """An artifact that somebody named, by number or by folder."""

    kind: str
    name: str
    folder: Path
    record: Artifact | None = None

    def part(self, kind: str) -> Part:
        """Its file, as part of a page. RunnerError when it is of another type."""
        if self.kind != kind:
            raise RunnerError(f"{self.name} is {self.kind}, not {kind}", hint="see: tidemill artifacts list")
        facts = [("folder", str(self.folder))] if self.record is None else []
        if self.record is not None:
            facts = [("artifact", str(self.record.id))]
            facts += [(name, str(self.record.properties[name])) for name in ("span", "version")
                      if name in self.record.properties]  # fmt: skip
        return read_part(self.folder, kind, self.name, tuple(facts))


def _find(store: MetadataStore | None, word: str) -> _Found:
    if not word.isdecimal():
        folder = Path(word)
        folder = folder if folder.is_dir() else folder.parent
        return _Found(kind=kind_of_folder(folder), name=folder.name or str(folder), folder=folder)
    assert store is not None
    record = store.get_artifact(int(word))
    if record is None:
        raise RunnerError(f"there is no artifact {word}", hint="see: tidemill artifacts list")
    return _of_record(record)


def _of_record(record: Artifact) -> _Found:
    if record.type not in FILES:
        raise RunnerError(f"there is no page of {record.type} (artifact {record.id})", hint=_HINT)
    folder = mirror.fetched(record.uri, str(record.custom_properties.get(DIGEST, "")))
    return _Found(kind=record.type, name=f"artifact {record.id}", folder=folder, record=record)


def _around(store: MetadataStore | None, found: _Found) -> Sources:
    """The artifact with what the record says belongs beside it."""
    if found.kind == "ExampleStatistics":
        newest = _related(store, found, made=False).get("ExampleAnomalies")
        return Sources(statistics=found.part(found.kind), anomalies=_part(newest, "ExampleAnomalies"))
    beside = _related(store, found, made=True)
    if found.kind == "ExampleAnomalies":
        if "statistics" not in beside:
            raise RunnerError(
                f"the statistics of {found.name} are not on record",
                hint="name them, and these with --anomalies",
            )
        baseline = beside.get("baseline_statistics")
        return Sources(
            statistics=beside["statistics"].part("ExampleStatistics"),
            against=_part(baseline, "ExampleStatistics"),
            anomalies=found.part(found.kind),
        )
    evaluation = beside.get("ModelEvaluation") if found.kind == "ModelBlessing" else found
    if evaluation is None:
        raise RunnerError(f"the evaluation of {found.name} is not on record", hint=_HINT)
    blessing = found if found.kind == "ModelBlessing" else beside.get("ModelBlessing")
    if blessing is None and (found.folder / FILES["ModelBlessing"]).is_file():
        blessing = _Found(kind="ModelBlessing", name=found.name, folder=found.folder)
    return Sources(evaluation=evaluation.part("ModelEvaluation"), blessing=_part(blessing, "ModelBlessing"))


def _part(found: _Found | None, kind: str) -> Part | None:
    return None if found is None else found.part(kind)


def _related(store: MetadataStore | None, found: _Found, *, made: bool) -> dict[str, _Found]:
    """Artifacts of the executions that made `found`, or that used it: inputs by name, outputs by type.

    The newest where there are several, and only those whose files a page could be made of.
    """
    if store is None or found.record is None:
        return {}
    wanted = EventType.OUTPUT if made else EventType.INPUT
    events = store.get_events(artifact_ids=[found.record.id], types=[wanted])
    executions = sorted({event.execution_id for event in events})
    if not executions:
        return {}
    events = store.get_events(execution_ids=executions)
    records = {a.id: a for a in store.get_artifacts_by_id(sorted({e.artifact_id for e in events}))}
    related: dict[str, _Found] = {}
    for event in events:
        record = records.get(event.artifact_id)
        if record is None or record.type not in FILES:
            continue
        key = record.type
        if event.type is not EventType.OUTPUT:
            key = str(event.path[0]) if event.path else ""
        with suppress(StorageError):
            found = _of_record(record)
            if (found.folder / FILES[record.type]).is_file():
                related[key] = found
    return related


def _file_name(word: str) -> str:
    return f"artifact-{word}" if word.isdecimal() else (Path(word).resolve().name or "page")
