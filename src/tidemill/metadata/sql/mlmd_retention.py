"""Choosing what a policy lets go of runs that TFX or Kubeflow Pipelines recorded, and marking it.

The record is others', so doubt keeps: an artifact goes only when runs that go made it, everything that the
record says about it is theirs too, and no place of anything that stays overlaps its own. As with tidemill's
runs it goes in two steps, MARKED_FOR_DELETION and DELETED; TFX's cache hands on only what is LIVE.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

from tidemill.errors import StoreError
from tidemill.metadata.model import ArtifactState, EventType, RunState
from tidemill.metadata.retention import MlmdRetention, MlmdRun, PlaceOf, RetentionPolicy
from tidemill.metadata.sql import mlmd_runs, names, runs
from tidemill.metadata.sql.database import Transaction
from tidemill.metadata.sql.mlmd_runs import GENERATED, IMPORTERS, WRITERS
from tidemill.metadata.sql.reading import artifacts_by_id
from tidemill.metadata.sql.retention import set_state
from tidemill.metadata.sql.selecting import ids_in

OUTPUTS = (
    f"({EventType.OUTPUT.value}, {EventType.DECLARED_OUTPUT.value}, {EventType.INTERNAL_OUTPUT.value}, "
    f"{EventType.PENDING_OUTPUT.value})"
)
"""Types of events by which an execution says that it made an artifact."""
_MAY_GO = tuple(s for s in ArtifactState if s not in (ArtifactState.DELETED, ArtifactState.REFERENCE))
_SAME = {"s3a": "s3", "s3n": "s3", "minio": "s3", "gcs": "gs"}
"""Schemes by which one place may have two URIs."""


def choose(tx: Transaction, policy: RetentionPolicy, place: PlaceOf) -> MlmdRetention:
    """What `policy` lets go now; StoreError for a policy that keeps nothing, or names an unknown run."""
    if policy.keep_last < 1:
        raise StoreError(
            f"keep_last is {policy.keep_last}; at least one complete run of each pipeline is kept",
            hint="the next run needs the model and the data that it refers to",
        )
    found = mlmd_runs.find(tx)
    gone = _runs_to_go(policy, found)
    inside = _inside(tx, gone)
    made = artifacts_by_id(
        tx, ids_in(tx, f"SELECT artifact_id FROM Event WHERE type IN {OUTPUTS} AND execution_id IN "
                       "({ids})", inside)
    )  # fmt: skip
    why = _used(tx, [a.id for a in made], inside, {run.context for run in gone})
    top = place(policy.root)
    going = {}
    for artifact in made:
        at = place(artifact.uri)
        if artifact.state not in _MAY_GO:
            why[artifact.id] = ""  # its files are gone, or were never its own
        elif artifact.id in why:
            continue
        elif not artifact.uri or not at.sure or not at.path.startswith(top.path.rstrip("/") + "/"):
            why[artifact.id] = "it does not lie below the root"
        else:
            going[artifact.id] = at.path
    if going:
        why |= _overlapping(tx, going, place)
    return MlmdRetention(
        runs=tuple(reversed(gone)),
        artifacts=tuple(a for a in made if a.id not in why),
        kept=tuple((a, why[a.id]) for a in made if why.get(a.id)),
        running=tuple(run for run in found if run.state is RunState.RUNNING),
    )


def mark(tx: Transaction, policy: RetentionPolicy, place: PlaceOf) -> MlmdRetention:
    """`choose`, and take the artifacts out of use. StoreError while any run is RUNNING, whoever's."""
    names.lock_registry(tx)
    refuse_running(tx)
    chosen = choose(tx, policy, place)
    set_state(tx, [a.id for a in chosen.artifacts], ArtifactState.MARKED_FOR_DELETION, _MAY_GO)
    return chosen


def refuse_running(tx: Transaction) -> None:
    """StoreError while any run is RUNNING: it may be about to use what would go."""
    for run in runs.get_runs(tx, pipeline="", state=RunState.RUNNING, limit=1):
        raise StoreError(
            f"run {run.id} is RUNNING and may be using what would be deleted",
            hint="wait for it, or resume it if its runner died",
        )
    for busy in mlmd_runs.find(tx):
        if busy.state is RunState.RUNNING:
            raise StoreError(
                f"{busy.writer}'s run {busy.id} has executions that are NEW or RUNNING, and may be using "
                "what would be deleted",
                hint="wait for it; if it died, say so: set last_known_state of these executions to CANCELED "
                "with put_executions of tidemill.mlmd or of ml-metadata",
            )


def _runs_to_go(policy: RetentionPolicy, newest_first: list[MlmdRun]) -> list[MlmdRun]:
    """The runs that fit the policy, newest first."""
    complete: Counter[tuple[str, str]] = Counter()
    gone = []
    for run in newest_first:
        if run.state is RunState.COMPLETE:
            complete[run.writer, run.pipeline] += 1
            if complete[run.writer, run.pipeline] <= policy.keep_last:
                continue
        fits = (
            run.state is not None
            and run.state.ended
            and policy.run in ("", run.id)
            and policy.pipeline in ("", run.pipeline)
            and policy.state in (None, run.state)
            and (not policy.ended_before or 0 < run.end_time < policy.ended_before)
        )
        if fits:
            gone.append(run)
    return gone


def _inside(tx: Transaction, gone: Iterable[MlmdRun]) -> set[int]:
    """Executions that belong to the runs that go, and to nothing else."""
    contexts = {run.context for run in gone}
    executions = {execution for run in gone for execution in run.executions}
    of = mlmd_runs.members(tx, "Association", "execution_id", executions)
    return {
        execution
        for execution in executions
        if all(
            m.context in contexts if m.type in WRITERS else m.type in GENERATED for m in of[execution]
        )
    }  # fmt: skip


def _used(tx: Transaction, artifacts: list[int], inside: set[int], gone: set[int]) -> dict[int, str]:
    """Those of the artifacts that something refers to which stays, or that nobody made, and why."""
    why: dict[int, str] = {}
    for id, found in mlmd_runs.members(tx, "Attribution", "artifact_id", artifacts).items():
        for member in found:
            if member.type not in GENERATED:
                why[id] = f"it is in the {member.type} {member.name!r}"
            elif member.type in WRITERS and member.context not in gone:
                why[id] = f"it is in run {member.name}, which stays"
    for id, execution, type in tx.rows_in(
        "SELECT v.artifact_id, v.execution_id, t.name FROM Event v "
        "LEFT JOIN Execution e ON e.id = v.execution_id LEFT JOIN Type t ON t.id = e.type_id "
        "WHERE v.artifact_id IN ({ids})",
        artifacts,
    ):
        if execution not in inside:
            why[id] = f"execution {execution}, which stays, refers to it"
        elif type in IMPORTERS:
            why.setdefault(id, "it was imported: its files were there before the run")
    return why


def _overlapping(tx: Transaction, going: dict[int, str], place: PlaceOf) -> dict[int, str]:
    """Those of `going` whose place is that of something that stays, lies in it or holds it, and why."""
    why: dict[int, str] = {}
    paths = {id: _one_form(path) for id, path in going.items()}
    new = [
        (id, _one_form(place(uri).path))
        for id, uri, state in tx.rows("SELECT id, uri, state FROM Artifact WHERE uri IS NOT NULL")
        if id not in going and uri and state != ArtifactState.DELETED.value
    ]
    while new:
        staying = {path: id for id, path in new}
        above = {}
        for id, path in new:
            for folder in _up(path):
                above[folder] = id
        new = []
        for id, path in paths.items():
            if id in why:
                continue
            by = above.get(path) or next((staying[f] for f in _up(path) if f in staying), 0)
            if by:
                why[id] = f"its files are also those of artifact {by}, which stays"
                new.append((id, path))
    return why


def _one_form(path: str) -> str:
    scheme, colon, rest = path.partition("://")
    return f"{_SAME.get(scheme, scheme)}{colon}{rest}" if colon else path


def _up(path: str) -> Iterator[str]:
    """The path, and the folders that it lies in."""
    while path:
        yield path
        path = path.rpartition("/")[0]
