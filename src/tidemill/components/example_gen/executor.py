"""ExampleGen's work: tie the parameters to `data.ingest` and describe what came out."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from tidemill.data.ingest import ingest, ingest_input_splits
from tidemill.data.opening import open_source, source_of_files
from tidemill.data.source import QUARANTINE, BadRows, shared_folder
from tidemill.errors import DataError
from tidemill.types.source import FileSet, Query, Source, file_sets, source_of
from tidemill.types.standard import Examples

DEFAULT_SPLITS = {"train": 2, "eval": 1}


def run(
    *,
    source: FileSet | Mapping[str, Any],
    examples: Examples,
    format: str = "auto",
    splits: Mapping[str, int] | None = None,
    partition_by: str | None = None,
    order_by: str | None = None,
    cut_points: Sequence[str | float] = (),
    column_types: Mapping[str, str] | None = None,
    null_values: Sequence[str] = ("",),
    max_bad_rows: int = 0,
) -> None:
    """Write `source` to `examples`; see the component for the parameters."""
    if max_bad_rows < 0:
        raise DataError(f"max_bad_rows is {max_bad_rows}, but must be at least 0")
    described = source_of_files(source, format) if isinstance(source, FileSet) else source_of(source)
    sets = file_sets(described)
    files = [file for found in sets.values() for file in found.files]
    bad = BadRows(max_bad_rows, shared_folder([file.uri for file in files]))
    inputs = {} if isinstance(described, Query) or "" in sets else sets
    opened = open_source(
        described, format, column_types or {}, null_values,
        files=files if inputs else None, tolerant=bad.wanted,
    )  # fmt: skip
    if inputs:
        _check_inputs(inputs, splits, partition_by, order_by)
        by_split = {name: found.files for name, found in inputs.items()}
        rows = ingest_input_splits(opened, examples.path, by_split, bad=bad)
    else:
        rows = ingest(
            opened,
            examples.path,
            DEFAULT_SPLITS if splits is None else splits,
            partition_by=partition_by,
            order_by=order_by,
            cut_points=cut_points,
            bad=bad,
        )
    bad.write(examples.path)
    _describe(examples, described, sets, rows, bad)
    counts = ", ".join(f"{split} {count}" for split, count in rows.items())
    print(f"{examples.num_rows} rows from {_origin(described, len(files))}: {counts}")
    if len(bad):
        print(f"{len(bad)} rows could not be read; they are in {QUARANTINE}/part-00000.parquet")


def _check_inputs(
    inputs: Mapping[str, FileSet], splits: Mapping[str, int] | None, partition_by: str | None,
    order_by: str | None,
) -> None:  # fmt: skip
    if splits is not None or partition_by is not None or order_by is not None:
        raise DataError(
            f"the data comes in the splits {', '.join(inputs)}, so nothing can be split further",
            hint="leave out splits, partition_by and order_by, or read all files with one files(...)",
        )
    for what in ("span", "version"):
        found = {name: getattr(files, what) for name, files in inputs.items()}
        if len(set(found.values())) > 1:
            raise DataError(
                f"the input splits are of different {what}s: "
                + ", ".join(f"{name} {value}" for name, value in found.items()),
                hint="deliver what is missing, or name the date or span: files(..., date=run.date)",
            )


def _describe(
    examples: Examples, source: Source, sets: Mapping[str, FileSet], rows: Mapping[str, int], bad: BadRows
) -> None:
    examples.splits = list(rows)
    examples.num_rows = sum(rows.values())
    if bad.wanted:
        examples.num_bad_rows = len(bad)
    if not sets:
        return
    digest = hashlib.sha256(source.kind.encode())
    for name, found in sets.items():
        digest.update(f"\n{name}\n{' '.join(file.digest for file in found.files)}".encode())
    examples.fingerprint = digest.hexdigest()
    spans = [found.span for found in sets.values() if found.span is not None]
    versions = [found.version for found in sets.values() if found.version is not None]
    if spans:
        examples.span = max(spans)
    if versions:
        examples.version = max(versions)


def _origin(source: Source, files: int) -> str:
    if source.kind in ("query", "custom"):
        return {"query": "a query", "custom": "a function"}[source.kind]
    return f"{files} files"
