"""Whether a node can never start, because of what became of the nodes before it.

For runners whose engine knows only that the nodes before one have ended. The local runner's scheduler
follows the same rules while it counts; the runner suite holds both to one lineage.
"""

from __future__ import annotations

from tidemill.ir.model import PipelineIR
from tidemill.metadata.model import NodeState, Run
from tidemill.metadata.store import MetadataStore
from tidemill.runtime.plan import Step
from tidemill.runtime.upstream import Upstream

_DONE = (NodeState.COMPLETE, NodeState.CACHED)


def blocked(store: MetadataStore, pipeline: PipelineIR, run: Run, step: Step, iteration: int) -> str:
    """Why the node cannot start in this iteration, all before it having ended; empty when it can.

    `step` is the node in the run's plan: it waits for those that the run has, and for no others.
    """
    if step.on_exit or step.trigger == "all_done":
        return ""
    upstream = Upstream(store, pipeline, run, pipeline.node(step.node_id), iteration)
    states = {name: upstream.states(name) for name in step.upstream}
    lost = [name for name, found in states.items() if any(s is None or not s.succeeded for s in found)]
    if not lost:
        return ""
    if step.trigger == "one_success" and any(s in _DONE for found in states.values() for s in found):
        return ""
    return f"{', '.join(lost)} did not succeed"
