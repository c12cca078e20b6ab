"""The tabular network of the PyTorch trainer: embeddings of categories, then dense layers.

It is described by sizes alone, so that a saved one can be built again without code of the pipeline.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.errors import DataError
from tidemill.models.flavors.base import library


def describe(
    width: int, categories: Mapping[int, int], hidden: Sequence[int], outputs: int, dropout: float = 0.0
) -> dict[str, Any]:
    """The architecture as plain JSON. categories: position of a column -> how many categories it has."""
    pairs = [[position, size] for position, size in sorted(categories.items())]
    return {
        "kind": "tabular",
        "width": width,
        "categories": pairs,
        "hidden": list(hidden),
        "outputs": outputs,
        "dropout": dropout,
    }


def build(architecture: Mapping[str, Any]) -> TabularNetwork:
    """The network of an architecture, with fresh weights; DataError for one that there is not."""
    if architecture.get("kind") != "tabular":
        raise DataError(f"there is no network of kind {architecture.get('kind')!r}", hint="known: tabular")
    return TabularNetwork(architecture)


def embedding_width(size: int) -> int:
    """Numbers that stand for one of `size` categories: the square root, between 2 and 32."""
    return min(32, max(2, round(math.sqrt(size))))


class TabularNetwork:
    """`module` holds the weights; calling the network gives one row of `outputs` numbers per row.

    A number that is missing (NaN) counts as 0; a category outside its range as the last one.
    """

    def __init__(self, architecture: Mapping[str, Any]) -> None:
        torch = library("torch", "torch")
        self._torch = torch
        layers = torch.nn
        self._categories = [(int(position), int(size)) for position, size in architecture["categories"]]
        taken = {position for position, _ in self._categories}
        self._numbers = [position for position in range(int(architecture["width"])) if position not in taken]
        width = len(self._numbers) + sum(embedding_width(size) for _, size in self._categories)
        body: list[Any] = []
        for size in architecture["hidden"]:
            body += [layers.Linear(width, int(size)), layers.ReLU()]
            if architecture["dropout"]:
                body.append(layers.Dropout(float(architecture["dropout"])))
            width = int(size)
        body.append(layers.Linear(width, int(architecture["outputs"])))
        tables = [layers.Embedding(size, embedding_width(size)) for _, size in self._categories]
        self.module: Any = layers.ModuleDict(
            {"embeddings": layers.ModuleList(tables), "body": layers.Sequential(*body)}
        )

    def __call__(self, rows: Any) -> Any:
        torch = self._torch
        parts = [torch.nan_to_num(rows[:, self._numbers])]
        for (position, size), table in zip(self._categories, self.module["embeddings"], strict=True):
            codes = torch.nan_to_num(rows[:, position], nan=size - 1).long().clamp(0, size - 1)
            parts.append(table(codes))
        return self.module["body"](torch.cat(parts, dim=1))
