"""Approval nodes on Airflow: they wait on its page of required actions, and for `tidemill approve`.

Whoever decides first, decides, and either way the decision is one of the record: this task writes what was
answered in Airflow there, with the name of who answered, before the launcher asks the record.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from airflow.providers.standard.operators.hitl import HITLOperator
from airflow.sdk import Param

from tidemill.ir.model import Literal, NodeIR
from tidemill.metadata.model import Decision
from tidemill.metadata.store import MetadataStore
from tidemill.runners.airflow.operator import NodeTask
from tidemill.runners.airflow.versions import PARKED
from tidemill.runners.base.task import EngineRun, Settings
from tidemill.runners.base.waiting import Wait

APPROVE, REJECT = "Approve", "Reject"
COMMENT = "comment"
"""The field of the page that says why."""


class ApprovalOperator(NodeTask, HITLOperator):  # type: ignore[misc]  # Airflow is not there where types are checked
    """Asks whether a node may pass, and launches it, which makes of the decision what it is everywhere."""

    template_fields: Sequence[str] = ("pipeline_version", "iteration")
    ui_color = "#fef3c7"

    def __init__(
        self, *, settings: Settings, pipeline_version: str, pipeline_node: str, iteration: int = 0,
        wait: str = "defer", **options: Any,
    ) -> None:  # fmt: skip
        node = settings.ir.node(pipeline_node)
        options.pop("params", None)  # the DAG's, which Airflow hands to every __init__ on the way
        super().__init__(
            subject=f"May {pipeline_node} of {settings.ir.name} pass?", body=message_of(node),
            options=[APPROVE, REJECT],
            params={COMMENT: Param("", type="string", title="why", description="kept in the record")},
            **options,
        )  # fmt: skip
        self.set_task(settings, pipeline_version, pipeline_node, iteration, wait)

    def execute(self, context: Any) -> list[int] | None:
        """Ask, and wait for the answer."""
        return self.launch(context)

    def leave(self, context: Any, wait: Wait) -> None:
        """Show the request on Airflow's page, and leave the worker; see NodeTask."""
        if wait.kind != "approval":
            super().leave(context, wait)
        try:
            HITLOperator.execute(self, context)
        except PARKED as parked:
            trigger = getattr(parked, "trigger", None)
            self.wait_elsewhere(wait, trigger.serialize()[1] if trigger is not None else None)

    def before_launch(self, store: MetadataStore, run: EngineRun, event: Mapping[str, Any]) -> None:
        """Write what was answered in Airflow into the record, where an earlier decision stands."""
        if event.get("chosen_options"):
            store.put_decision(decision_of(event, run.record_id, self.pipeline_node, self.iteration))


def decision_of(event: Mapping[str, Any], run_id: str, node_id: str, iteration: int) -> Decision:
    """The decision behind an answer on Airflow's page."""
    user = event.get("responded_by_user") or {}
    given = event.get("params_input") or {}
    comment = given.get(COMMENT, "")
    return Decision(
        run_id=run_id, node_id=node_id, iteration=iteration, granted=event["chosen_options"] == [APPROVE],
        by=str(user.get("name") or user.get("id") or "airflow"), comment=str(comment or ""),
    )  # fmt: skip


def message_of(node: NodeIR) -> str | None:
    """What the definition of an approval asks."""
    asked = node.parameters.get("message")
    return str(asked.value) if isinstance(asked, Literal) and asked.value else None
