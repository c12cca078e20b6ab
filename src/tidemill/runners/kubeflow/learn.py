"""What nodes used of what they asked for: requests learnt from the record, and what may be interrupted.

The record has the processor time and the peak of memory of every attempt. A request is a percentile of what
successful attempts used and some room above; it is never less than a floor, never more than the node may use,
and never learnt from a few attempts. Limits stay as they are declared.

Nothing here asks Kubernetes. What it learns is a platform file, which people read before they use it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tidemill.ir.model import NodeIR, PipelineIR
from tidemill.metadata.model import FAILURE, MEMORY_LIMIT, Execution, ExecutionState
from tidemill.metadata.store import MetadataStore
from tidemill.runners.kubeflow import quantity
from tidemill.runners.kubeflow.platform import KubernetesOptions, Toleration
from tidemill.runtime import measure
from tidemill.runtime.failure import FailureKind
from tidemill.runtime.retry import GROWTH, policy_of

_MIB = 2**20


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """How careful learning is."""

    runs: int = 50
    """Newest runs that are looked at."""
    fewest: int = 5
    """Successful attempts without which nothing is learnt."""
    percentile: float = 95.0
    headroom: float = 1.25
    """Times the percentile."""
    least_cpu: float = 0.1
    """Cores."""
    least_memory: int = 128 * _MIB
    """Bytes."""
    most_cpu: float = 16.0
    """Cores; for a node that declares none."""
    most_memory: int = 64 * 2**30
    """Bytes; for a node that declares none."""
    longest_on_spot: float = 1800.0
    """Seconds: an attempt that takes longer loses too much when it is interrupted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """What is advised for one node, and why."""

    node: str
    attempts: int
    """Successful ones that were measured."""
    cpu_declared: float
    memory_declared: int
    cpu: float = 0.0
    """Cores to ask for; 0: nothing was learnt."""
    memory: int = 0
    """Bytes to ask for; 0: nothing was learnt."""
    why: tuple[str, ...] = ()
    spot: bool = False
    """Whether it may run on machines that can be taken away."""
    why_spot: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """Machines of a kind: what selects them, and what a pod must tolerate to be put there."""

    selector: Mapping[str, str]
    tolerations: tuple[Toleration, ...] = ()


SPOT_POOLS: Mapping[str, Pool] = {
    "gke": Pool(
        selector={"cloud.google.com/gke-spot": "true"},
        tolerations=(Toleration(key="cloud.google.com/gke-spot", value="true", effect="NoSchedule"),),
    ),
    "eks": Pool(selector={"eks.amazonaws.com/capacityType": "SPOT"}),
    "aks": Pool(
        selector={"kubernetes.azure.com/scalesetpriority": "spot"},
        tolerations=(
            Toleration(key="kubernetes.azure.com/scalesetpriority", value="spot", effect="NoSchedule"),
        ),
    ),
}
"""What the managed Kubernetes of three clouds call machines that can be taken away."""


@dataclass(slots=True)
class _Used:
    """What the attempts at a node used."""

    cores: list[float] = field(default_factory=list)
    memory: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    attempts: int = 0
    too_little: int = 0
    """Bytes with which an attempt failed for lack of memory: the most of all."""


def learned(ir: PipelineIR, store: MetadataStore, bounds: Bounds | None = None) -> dict[str, Advice]:
    """Advice for every node that has an executor, from the newest runs of the pipeline, whatever ran them."""
    limits = bounds or Bounds()
    nodes = {node.id: node for node in ir.nodes if node.kind == "component"}
    used = {node_id: _Used() for node_id in nodes}
    for run in store.get_runs(pipeline=ir.name, limit=limits.runs):
        for execution in store.get_executions(run.id):
            _, node_id, _, _ = execution.name.rsplit("/", 3)
            if node_id in nodes and execution.type == nodes[node_id].component:
                _count(used[node_id], execution)
    return {node_id: _advise(nodes[node_id], found, limits) for node_id, found in used.items()}


def _count(used: _Used, execution: Execution) -> None:
    found = execution.custom_properties
    if found.get(FAILURE) == FailureKind.OUT_OF_MEMORY.value:
        used.too_little = max(used.too_little, int(found.get(MEMORY_LIMIT, 0)))
    if execution.state is not ExecutionState.COMPLETE:
        return
    used.attempts += 1
    seconds = float(found.get(measure.RUN, 0.0))
    if seconds > 0:
        used.seconds.append(seconds)
    if seconds > 0 and measure.CPU in found:
        # Its imports before and its sealing after use the processor, too, so this is rather too much.
        used.cores.append(float(found[measure.CPU]) / seconds)
    if measure.RSS_PEAK in found:
        used.memory.append(int(found[measure.RSS_PEAK]))


def _advise(node: NodeIR, used: _Used, bounds: Bounds) -> Advice:
    asked = node.options.resources
    why: list[str] = []
    cpu = memory = 0.0
    if used.attempts < bounds.fewest:
        why.append(f"{used.attempts} of {bounds.fewest} attempts that it takes")
    else:
        cpu = _cpu(used, asked.cpu, bounds, why)
        memory = _memory(used, max(asked.memory, asked.memory_max), bounds, why)
    spot, why_spot = _on_spot(node, used, bounds)
    return Advice(
        node=node.id, attempts=used.attempts, cpu_declared=asked.cpu, memory_declared=asked.memory, cpu=cpu,
        memory=int(memory), why=tuple(why), spot=spot, why_spot=why_spot,
    )  # fmt: skip


def _cpu(used: _Used, declared: float, bounds: Bounds, why: list[str]) -> float:
    if len(used.cores) < bounds.fewest:
        why.append("processor time was not measured")
        return 0.0
    high = percentile(used.cores, bounds.percentile)
    wanted = math.ceil(high * bounds.headroom * 20) / 20
    found, bound = _within(wanted, bounds.least_cpu, declared or bounds.most_cpu)
    why.append(f"p{bounds.percentile:g} of {len(used.cores)}: {high:.2f} cores{bound}")
    return found


def _memory(used: _Used, declared: int, bounds: Bounds, why: list[str]) -> float:
    if len(used.memory) < bounds.fewest:
        why.append("memory was not measured")
        return 0.0
    high = percentile(used.memory, bounds.percentile)
    wanted = max(high * bounds.headroom, used.too_little * GROWTH)
    rounded = math.ceil(wanted / (16 * _MIB)) * 16 * _MIB
    found, bound = _within(rounded, bounds.least_memory, declared or bounds.most_memory)
    why.append(f"p{bounds.percentile:g} of {len(used.memory)}: {high / _MIB:.0f} MiB{bound}")
    if used.too_little:
        why.append(f"{used.too_little / _MIB:.0f} MiB were too little once")
    return found


def _within(wanted: float, least: float, most: float) -> tuple[float, str]:
    """The number between the bounds, and which of them it met. The upper one counts more."""
    if max(wanted, least) >= most:
        return most, ", as much as it may use"
    if wanted < least:
        return least, ", raised to the floor"
    return wanted, ""


def _on_spot(node: NodeIR, used: _Used, bounds: Bounds) -> tuple[bool, str]:
    """Whether a node loses little and changes nothing twice when its machine is taken away."""
    policy = policy_of(node.options)
    if node.effects:
        return False, "it changes things outside"
    if node.on_exit:
        return False, "it runs when a run ends, and must not fail then"
    if not policy.infrastructure:
        return False, "it has no retry for a machine that vanishes"
    if len(used.seconds) < bounds.fewest:
        return False, "too few attempts to know how long it takes"
    long = percentile(used.seconds, bounds.percentile)
    if long > bounds.longest_on_spot:
        return False, f"it takes {long / 60:.0f} min, too much to lose"
    return True, f"{long:.0f} s, tried again {policy.infrastructure} times, and no effects"


def percentile(values: Iterable[float], percent: float) -> float:
    """The smallest value that `percent` % of all do not exceed (nearest rank); ValueError for none."""
    found = sorted(values)
    if not found:
        raise ValueError("no values")
    return found[max(0, math.ceil(percent / 100 * len(found)) - 1)]


def options_of(advice: Mapping[str, Advice], spot: Pool | None = None) -> dict[str, KubernetesOptions]:
    """Platform options of all nodes for which there is advice; with a pool, for spot machines as well."""
    found = {}
    for node, given in advice.items():
        options = KubernetesOptions(
            cpu_request=quantity.of_cores(given.cpu) if given.cpu else "",
            memory_request=quantity.of_size(given.memory) if given.memory else "",
            node_selector=spot.selector if spot and given.spot else {},
            tolerations=spot.tolerations if spot and given.spot else (),
        )
        if options != KubernetesOptions():
            found[node] = options
    return found


def platform_text(pipeline: str, advice: Mapping[str, Advice], spot: Pool | None = None) -> str:
    """A platform file, TOML, with the reasons as comments; for `tidemill compile --platform`."""
    lines = [f"# Written by tidemill kubeflow advise for the pipeline {pipeline}: read it before you use it."]
    for node, options in options_of(advice, spot).items():
        given = advice[node]
        lines += ["", f"# {'; '.join(given.why)}", f"[nodes.{_key(node)}]"]
        if options.cpu_request:
            lines.append(f'cpu_request = "{options.cpu_request}"')
        if options.memory_request:
            lines.append(f'memory_request = "{options.memory_request}"')
        if options.node_selector:
            pairs = ", ".join(f"{_key(n)} = {_text(v)}" for n, v in sorted(options.node_selector.items()))
            lines += [f"# may be interrupted: {given.why_spot}", f"node_selector = {{ {pairs} }}"]
        if options.tolerations:
            tolerated = ", ".join(
                f"{{ key = {_text(t.key)}, value = {_text(t.value)}, effect = {_text(t.effect)} }}"
                for t in options.tolerations
            )
            lines.append(f"tolerations = [{tolerated}]")
    return "\n".join(lines) + "\n"


def _key(name: str) -> str:
    return name if name.replace("_", "").replace("-", "").isalnum() and name.isascii() else _text(name)


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
