"""Two nodes work on the same examples; a third needs both. Nodes made out of order are put in order."""

from __future__ import annotations

from tidemill import Examples, Input, Model, Output, Pipeline, component


@component
def read(examples: Output[Examples]) -> None:
    """Rows."""


@component
def train(examples: Input[Examples], model: Output[Model], *, kind: str) -> None:
    """A model."""


@component
def compare(first: Input[Model], second: Input[Model], best: Output[Model]) -> None:
    """The better one."""


source = read()
tree = train(examples=source.outputs.examples, kind="tree").with_id("train_tree")
forest = train(examples=source.outputs["examples"], kind="forest").with_id("train_forest")
better = compare(tree.outputs.model, second=forest.outputs.model)

# Only the last node is listed: the others belong to the pipeline because it takes from them.
diamond = Pipeline("diamond", nodes=[better], description="One source, two models.")
