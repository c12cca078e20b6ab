"""How nodes are run: defaults of the pipeline, of a sub-pipeline, and of the node itself."""

from __future__ import annotations

from datetime import timedelta

from tidemill import Container, NodeOptions, Pipeline, Resources, VirtualEnv, component


@component
def work() -> None:
    """Anything."""


plain = work().with_id("plain")
quick = work().with_id("quick").with_options(retries=2, timeout=30, backoff=0.5)
large = work().with_id("large")
large.with_options(NodeOptions(resources=Resources(cpu=4, memory="1.5Gi", gpu=1), cache=False))
large.with_options(owner="ranking", labels={"cost": "shared"})
patient = work().with_id("patient")
patient.with_options(
    timeout=timedelta(hours=2), cache_max_age=timedelta(days=7), backoff=timedelta(minutes=1)
)
apart = (
    work().with_id("apart").with_options(environment=VirtualEnv(requirements=("b==2", "a==1"), python="3.12"))
)
contained = work().with_id("contained")
contained.with_options(environment=Container(image="trainer:1", env=("TOKEN",), mounts=("/srv/models",)))
near = work().with_id("near").with_options(isolation="none")
inner = Pipeline("inner", nodes=[work().with_id("inherits")], options=NodeOptions(retries=5))
bare = Pipeline("bare", nodes=[work().with_id("looks_further_out")])

pipeline = Pipeline(
    "node_options",
    nodes=[plain, quick, large, patient, apart, contained, near, inner, bare],
    options=NodeOptions(retries=1, resources=Resources(memory="512M")),
)
