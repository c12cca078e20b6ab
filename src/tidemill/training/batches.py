"""Rows in batches for training loops: numpy arrays and torch tensors, one row group in memory at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tidemill.data.dataset import Dataset
from tidemill.errors import DataError, did_you_mean
from tidemill.models.features import Array, arrays_of_table, fields_of_rows, matrix
from tidemill.models.flavors.base import library


def numpy_batches(
    rows: Dataset, columns: Sequence[str], batch_rows: int, epochs: int, shuffle_seed: int | None
) -> Iterator[dict[str, Array]]:
    """See `FnArgs.numpy_batches`."""
    for name, value in (("batch_rows", batch_rows), ("epochs", epochs)):
        if value < 1:
            raise DataError(f"{name} is {value}", hint="at least 1")
    for name in columns:
        if name not in rows.columns:
            raise DataError(f"there is no column {name!r}", hint=did_you_mean(name, rows.columns))
    return _batches(rows, list(columns), batch_rows, epochs, shuffle_seed)


def _batches(
    rows: Dataset, columns: list[str], batch_rows: int, epochs: int, shuffle_seed: int | None
) -> Iterator[dict[str, Array]]:
    for epoch in range(epochs):
        random = None if shuffle_seed is None else np.random.default_rng([shuffle_seed, epoch])
        for table in rows.iter_batches(columns):
            fields = fields_of_rows(columns, table.schema, [table])
            arrays = arrays_of_table(table, fields)
            order = None if random is None else random.permutation(table.num_rows)
            for at in range(0, table.num_rows, batch_rows):
                part: Any = slice(at, at + batch_rows) if order is None else order[at : at + batch_rows]
                yield {name: values[part] for name, values in arrays.items()}


def torch_dataset(
    rows: Dataset, features: Sequence[str], label: str, batch_rows: int, shuffle_seed: int | None
) -> Any:
    """See `FnArgs.torch_dataset`."""
    torch = library("torch", "torch")
    numpy_batches(rows, [*features, label], batch_rows, 1, None)  # complains here, not in a worker
    turns = 0

    def tensors(_: Any) -> Iterator[tuple[Any, Any]]:
        nonlocal turns
        seed = None if shuffle_seed is None else shuffle_seed + turns
        turns += 1
        worker = torch.utils.data.get_worker_info()
        mine, of = (worker.id, worker.num_workers) if worker else (0, 1)
        found = numpy_batches(rows, [*features, label], batch_rows, 1, seed)
        for number, batch in enumerate(found):
            if number % of == mine:
                fields = [field_of_array(name, batch[name]) for name in features]
                inputs = torch.from_numpy(matrix(batch, fields, np.float32))
                yield inputs, torch.from_numpy(np.ascontiguousarray(batch[label]))

    made = type("TidemillRows", (torch.utils.data.IterableDataset,), {"__iter__": tensors})
    return made()


def field_of_array(name: str, values: Array) -> Any:
    """The field that describes an array: its type by dtype, its shape without the rows."""
    from tidemill.models.signature import Field

    kinds = {"i": "int", "u": "int", "f": "float", "b": "bool", "M": "timestamp"}
    return Field(name, kinds.get(values.dtype.kind, "string"), tuple(values.shape[1:]))
