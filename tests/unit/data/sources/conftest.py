"""What the tests of sources share: a source and its options in, the rows of the splits out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tidemill.components.example_gen.executor import run
from tidemill.data.parquet import read_schema, read_tables, split_folder
from tidemill.errors import DataError
from tidemill.storage.pattern import resolve_files
from tidemill.types.source import FileSet, Source
from tidemill.types.standard import Examples


class Reading:
    """A folder for files, and ExampleGen for what is in it."""

    def __init__(self, base: Path) -> None:
        self.base = base

    def write(self, name: str, content: str | bytes) -> FileSet:
        """A file with that content, as `files(...)` finds it."""
        data = content.encode() if isinstance(content, str) else content
        (self.base / name).write_bytes(data)
        return self.files(name)

    def files(self, pattern: str, **options: Any) -> FileSet:
        """The files of a pattern."""
        return resolve_files(pattern, base=self.base, **options)

    def examples(self, source: FileSet | Source, **options: Any) -> Examples:
        """What ExampleGen makes of it, as one split unless told otherwise."""
        folder = self.base / f"examples{len(list(self.base.glob('examples*')))}"
        folder.mkdir()
        examples = Examples(path=folder)
        split = isinstance(source, Source) and isinstance(source.get("files"), Mapping)
        run(source=source, examples=examples, **({} if split else {"splits": {"all": 1}}) | options)
        return examples

    def table(self, source: FileSet | Source, **options: Any) -> pa.Table:
        """The rows of a source, as ExampleGen keeps them."""
        return self.rows(self.examples(source, **options))

    def rows(self, examples: Examples, split: str = "all") -> pa.Table:
        """All rows of one split."""
        folder = split_folder(examples.path, split)
        tables = list(read_tables(folder))
        return pa.concat_tables(tables) if tables else read_schema(folder).empty_table()

    def quarantine(self, examples: Examples) -> list[dict[str, Any]]:
        """The rows that were put aside."""
        return pq.read_table(examples.path / "Quarantine" / "part-00000.parquet").to_pylist()

    def refusal(self, source: FileSet | Source, **options: Any) -> str:
        """The error that ExampleGen raises."""
        with pytest.raises(DataError) as caught:
            self.examples(source, **options)
        return str(caught.value)


@pytest.fixture
def reading(tmp_path: Path) -> Reading:
    """A folder of its own for each test."""
    return Reading(tmp_path)
