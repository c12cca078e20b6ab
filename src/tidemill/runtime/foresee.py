"""What launching a node would come to, asked of the record alone: nothing is claimed, executed or written.

For runners that have to fetch something expensive before they launch, such as a pod: they need none for a
node that is to be skipped or whose result is there. The launcher decides it again, and its word counts.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Literal

from tidemill.errors import ResolutionError, StorageError
from tidemill.ir import model as ir
from tidemill.metadata.store import MetadataStore
from tidemill.runtime import cache, inside
from tidemill.runtime.call import NodeCall
from tidemill.runtime.decide import Skip, check_trigger, exit_facts
from tidemill.runtime.execute import CancelToken
from tidemill.runtime.making import Place
from tidemill.runtime.reproduce import is_reproduction
from tidemill.runtime.resolve import Resolver
from tidemill.runtime.upstream import Upstream
from tidemill.storage import mirror

Foreseen = Literal["full", "skipped", "reused", "unknown"]
"""`full`: its pool has no room. `unknown`: it will execute, or only the place where it executes can tell."""


def foresee(call: NodeCall, store: MetadataStore, pipeline: ir.PipelineIR) -> Foreseen:
    """What `launch` would do with a call if nothing changes meanwhile.

    What depends on where it is launched is unknown: files of patterns, environment variables, virtual
    environments that are not resolved yet, users' functions that choose; and so is what cannot be resolved.
    """
    node = pipeline.node(call.node_id)
    if node.options.pool and _full(store, node.options.pool, node.options.slots):
        return "full"
    run = store.get_run(call.run_id)
    if run is None or is_reproduction(run) or _depends_on_its_place(node):
        return "unknown"
    try:
        upstream = Upstream(store, pipeline, run, node, call.iteration)
        check_trigger(node, upstream)
        facts = exit_facts(store, run, call.run_state) if node.on_exit else {}
        resolver = Resolver(store, run, Path(call.workdir or ".").absolute(), upstream, facts=facts)
        resolver.check_condition(node)
        resolved = resolver.resolve(node)
        environment = _environment(node, run.root)
        if call.reuse == "never" or environment is None:
            return "unknown"
        found = cache.decide(node, pipeline, resolved, store, environment=environment)
    except Skip:
        return "skipped"
    except (ResolutionError, StorageError):
        return "unknown"
    return "reused" if found.execution_id else "unknown"


def _full(store: MetadataStore, name: str, slots: int) -> bool:
    pool = next((p for p in store.get_pools() if p.name == name), None)
    return pool is not None and pool.held + slots > pool.slots


def _environment(node: ir.NodeIR, root: str) -> str | None:
    """What identifies the node's environment; None where nobody knows before it is made or found."""
    wanted = node.options.environment
    if wanted is None:
        return ""
    if not wanted.image:
        return None
    place = mirror.place(root)
    found = inside.identify(wanted, Place(place, place / "log", CancelToken()))
    return found.digest if found is not None else None


def _depends_on_its_place(node: ir.NodeIR) -> bool:
    parts = (*node.parameters.values(), node.when, *(s for i in node.inputs for s in i.sources))
    return any(
        isinstance(part, ir.Files | ir.Environment) or (isinstance(part, ir.Earlier) and bool(part.choose))
        for value in parts
        for part in _parts(value)
    )


def _parts(value: Any) -> Iterator[Any]:
    """A value of the IR and all that it is made of."""
    yield value
    if dataclasses.is_dataclass(value) and not isinstance(value, ir.Literal):
        inner: Iterator[Any] | Any = (getattr(value, f.name) for f in dataclasses.fields(value))
    elif isinstance(value, Mapping):
        inner = value.values()
    elif isinstance(value, tuple | list):
        inner = value
    else:
        return
    for part in inner:
        yield from _parts(part)
