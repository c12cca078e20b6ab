"""Exit nodes, trigger rules, an importer and an approval."""

from __future__ import annotations

from tidemill import (
    Examples,
    Input,
    Model,
    NodeOptions,
    Output,
    approval,
    component,
    importer,
    on_exit,
    pipeline,
    run,
)


@component
def train(examples: Input[Examples], model: Output[Model]) -> None:
    """A model."""


@component
def push(model: Input[Model]) -> None:
    """Into production."""


@component
def tell(model: Input[Model] | None = None, *, text: str = "") -> None:
    """Somebody hears of it."""


@pipeline
def exits(folder: str = "data") -> None:
    """What waits for what, and how."""
    rows = importer(f"{folder}/rows", Examples, properties={"span": 3, "note": "bought"})
    model = train(rows.outputs.artifact).outputs.model
    asked = approval("Push to production?").with_options(timeout=3600)
    pushed = push(model)
    asked >> pushed
    pushed >> tell(model, text="whatever came of it").with_options(NodeOptions(trigger="all_done"))
    [asked, pushed] >> tell(text="one is enough").with_options(trigger="one_success").with_id("either")
    last = on_exit(tell(model, text=f"{run.pipeline} ended {run.state}: {run.failures}").with_id("last"))
    last >> on_exit(tell(text="good night").with_id("very_last"))
