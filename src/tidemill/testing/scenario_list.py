"""The scenarios of the runner suite: which pipelines are started how, one start after another."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.metadata.model import Decision, NodeState, Run
from tidemill.metadata.store import MetadataStore

HERE = Path(__file__).parent
FOLDER = "FOLDER"
"""As a parameter's value: the scenario's own folder, for what must stay outside of the record."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """One run of a scenario's pipeline, and how it must end."""

    parameters: Mapping[str, Any] = field(default_factory=dict)
    date: str = ""
    state: str = "COMPLETE"
    prepare: Callable[[Path], object] | None = None
    """Done before it, in the scenario's folder."""
    only: tuple[str, ...] = ()
    first: tuple[str, ...] = ()
    last: tuple[str, ...] = ()
    """The part to run: these nodes only, or from the first to the last; nothing: everything."""
    meanwhile: Callable[[MetadataStore, Run], bool] | None = None
    """Tried again and again while the run is under way, until it is done and says True."""

    def given(self, folder: Path) -> dict[str, Any]:
        """The parameters, with the folder where it is asked for."""
        return {n: str(folder) if v == FOLDER else v for n, v in self.parameters.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """A pipeline file, and its starts in one store."""

    name: str
    starts: tuple[Start, ...] = (Start(),)

    @property
    def file(self) -> Path:
        """The file that defines the pipeline."""
        return HERE / "scenarios" / f"{self.name}.py"

    @property
    def golden(self) -> Path:
        """What the record must say in the end."""
        return HERE / "goldens" / f"{self.name}.json"


def _give(text: str) -> Callable[[Path], object]:
    """Files for the importer."""

    def write(folder: Path) -> None:
        (folder / "given").mkdir(exist_ok=True)
        (folder / "given" / "rows.txt").write_text(text, encoding="utf-8")

    return write


def _decide(*, granted: bool) -> Callable[[MetadataStore, Run], bool]:
    """Decides about the gate once the node before it is complete, as a person does who looks at it."""

    def decide(store: MetadataStore, run: Run) -> bool:
        states = {record.node_id: record.state for record in store.get_nodes(run.id)}
        if not ("give" in states and states["give"].succeeded):
            return False
        verdict = Decision(run_id=run.id, node_id="gate", granted=granted, by="ada", comment="looked at it")
        store.put_decision(verdict)
        return True

    return decide


def _cancel(store: MetadataStore, run: Run) -> bool:
    """Asks for the end of the run once the node that never ends is under way."""
    states = {record.node_id: record.state for record in store.get_nodes(run.id)}
    if states.get("hold") is not NodeState.RUNNING:
        return False
    store.request_cancel(run.id)
    return True


def _days(count: int) -> tuple[Start, ...]:
    """Runs of days in a row, whose spans count from 1."""
    days = range(1, count + 1)
    return tuple(Start(parameters={"span": i}, date=f"2024-01-0{i}") for i in days)


_OTHER_VALUES = {
    "mode": "5", "name": "not null", "days": [], "rates": {"b": 1}, "most": 9, "until": "2024-02-29",
    "anything": {"a": [1, None]},
}  # fmt: skip
"""Of the scenario of runtime parameters."""

SCENARIOS = (
    Scenario(name="linear"),
    Scenario(name="diamond"),
    Scenario(name="optional_input"),
    Scenario(name="condition", starts=tuple(Start(parameters={"value": v}) for v in (20, 5, 1))),
    Scenario(
        name="nested_conditions",
        starts=(Start(), Start(parameters={"word": "no"}), Start(parameters={"outer": False})),
    ),
    Scenario(name="skips", starts=(Start(), Start(parameters={"wanted": True}))),
    Scenario(name="loop_literal"),
    Scenario(name="loop_output", starts=(Start(), Start(parameters={"count": 0}))),
    Scenario(name="loop_artifacts"),
    Scenario(name="nested_loops"),
    Scenario(name="loop_parallelism", starts=(Start(parameters={"folder": FOLDER}),)),
    Scenario(name="loop_failure", starts=(Start(state="FAILED"),)),
    Scenario(name="exit_handler", starts=(Start(), Start(parameters={"value": 13}, state="FAILED"))),
    Scenario(name="triggers", starts=(Start(state="FAILED"),)),
    Scenario(name="failure", starts=(Start(state="FAILED"), Start(parameters={"value": 2}))),
    Scenario(name="retry", starts=(Start(parameters={"folder": FOLDER}),)),
    Scenario(name="cache", starts=(Start(), Start(), Start(parameters={"value": 2}))),
    Scenario(
        name="importing",
        starts=tuple(
            Start(parameters={"folder": FOLDER}, prepare=_give(text)) for text in ("a", "a", "other")
        ),
    ),
    Scenario(name="resolvers", starts=_days(4)),
    Scenario(
        name="champions",
        starts=(
            Start(parameters={"span": 1}, date="2024-01-01"),
            Start(parameters={"span": 2, "bad": 2}, date="2024-01-02", state="FAILED"),
            Start(parameters={"span": 3, "bless": False}, date="2024-01-03"),
            Start(parameters={"span": 4}, date="2024-01-04"),
        ),
    ),
    Scenario(name="sub_pipeline"),
    Scenario(name="dynamic_parameter"),
    Scenario(
        name="partial",
        starts=(
            Start(),
            Start(only=("both",)),
            Start(parameters={"plus": 5}, first=("right",), last=("both",)),
            Start(first=("both",)),
        ),
    ),
    Scenario(
        name="gates",
        starts=(
            Start(meanwhile=_decide(granted=True)),
            Start(parameters={"value": 2}, meanwhile=_decide(granted=False), state="FAILED"),
        ),
    ),
    Scenario(name="cancel", starts=(Start(meanwhile=_cancel, state="CANCELED"),)),
    Scenario(name="cancel_in_loop", starts=(Start(meanwhile=_cancel, state="CANCELED"),)),
    Scenario(name="runtime_values", starts=(Start(), Start(parameters=_OTHER_VALUES))),
    Scenario(name="timeout", starts=(Start(state="FAILED"),)),
    Scenario(
        name="join_after_skip",
        starts=(
            Start(),
            Start(parameters={"value": 2}),
            Start(parameters={"value": 2, "bad": 2}, state="FAILED"),
        ),
    ),
    Scenario(
        name="retry_then_cached",
        starts=(Start(parameters={"folder": FOLDER}), Start(parameters={"folder": FOLDER, "plus": 2})),
    ),
    Scenario(name="nested_failure", starts=(Start(state="FAILED"),)),
)
"""Every scenario."""
