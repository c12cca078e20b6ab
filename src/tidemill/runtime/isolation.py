"""How an order is executed: in a forked process, a brand-new one, an environment of its own, or here.

The run has a usual way, a node's own option comes before it, and code that exists only in this process
(a notebook's cells) can run nowhere else.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tidemill.ir.model import NodeIR
from tidemill.runtime.call import NodeCall
from tidemill.runtime.execute import CancelToken, execute_here, execute_in_child
from tidemill.runtime.failure import Failure, FailureKind
from tidemill.runtime.limits import Limits
from tidemill.runtime.measure import Usage
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.spawner import Spawner

if TYPE_CHECKING:
    from tidemill.runtime.environment import Identified

ONLY_HERE = "__main__:"
"""How a reference to code starts that no other process can import."""


@dataclass(frozen=True, slots=True)
class How:
    """What decides how an order is executed, and what it takes."""

    node: NodeIR
    call: NodeCall
    cancel: CancelToken
    spawner: Spawner | None
    limits: Limits
    usage: Usage
    """What is noted of what the execution takes."""


def execute(order: Order, log: Path, how: How) -> Answer | Failure:
    """Execute in the environment that runs tidemill."""
    way = "none" if _is_only_here(order) else how.node.options.isolation or how.call.isolation
    if way == "none" and _may_redirect(how):
        try:
            return execute_here(order, log, how.usage)
        except KeyboardInterrupt:
            how.cancel.cancel()
            return Failure(kind=FailureKind.CANCELED, message="canceled")
    if way == "none":
        from tidemill.runtime.here import execute_on_thread

        return execute_on_thread(order, log, timeout=how.limits.run, cancel=how.cancel, usage=how.usage)
    spawner = how.spawner.of(order.executor) if way == "process" and how.spawner is not None else None
    return execute_in_child(
        order, log, limits=how.limits, cancel=how.cancel, spawner=spawner, usage=how.usage
    )


def execute_in(identified: Identified, order: Order, log: Path, how: How, folder: str) -> Answer | Failure:
    """Execute in the node's own environment, which is made if need be; `folder` is the attempt's own."""
    if _is_only_here(order):
        return Failure(
            kind=FailureKind.RESOLUTION,
            message="code of a notebook cannot run in an environment of its own\n"
            "  fix  move the component into a module that can be imported",
        )
    from tidemill.runtime.environment import command_of

    options, well = how.node.options, False
    try:
        command = command_of(identified, order, options.resources, folder)
        answer = execute_in_child(
            order, log, limits=how.limits, cancel=how.cancel, command=command,
            removal=identified.removal(), usage=how.usage,
        )  # fmt: skip
        well = isinstance(answer, Answer)
        return answer
    finally:
        identified.ended(well=well)


def _may_redirect(how: How) -> bool:
    """Whether nothing else of this process prints meanwhile: the run is without isolation altogether."""
    return how.call.isolation == "none" and threading.current_thread() is threading.main_thread()


def _is_only_here(order: Order) -> bool:
    return any(ref.startswith(ONLY_HERE) for ref in _references(order))


def _references(order: Order) -> Iterator[str]:
    """Every piece of code that the order names."""
    yield order.executor
    for given in order.inputs.values():
        yield from (artifact.python for artifact in given.artifacts)
    yield from (output.artifact.python for output in order.outputs.values())
    yield from _functions(order.parameters)


def _functions(value: Any) -> Iterator[str]:
    match value:
        case {"$function": str() as ref}:
            yield ref
        case {"$plain": _}:
            return
        case dict():
            for item in value.values():
                yield from _functions(item)
        case list():
            for item in value:
                yield from _functions(item)
