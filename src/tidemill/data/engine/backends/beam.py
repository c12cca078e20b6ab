"""Blocks done by an Apache Beam pipeline, and so by any runner of Beam: Flink, Spark, Dataflow.

Workers leave each outcome as a file of its own in the exchange folder. A block that Beam does twice is
written twice with the same bytes, so nothing depends on which one counted.
"""

from __future__ import annotations

import importlib
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from tidemill.data.engine.backends import Backend, missing
from tidemill.data.engine.blocks import Block
from tidemill.data.engine.work import Work

_EXCHANGE = "--exchange="


@dataclass(frozen=True)
class _Leave:
    """In a Beam worker: do a block, and write what came of it."""

    work: Work
    folder: str

    def __call__(self, block: Block) -> int:
        index, outcome = self.work(block)
        with _files().create(_place(self.folder, index)) as file:
            file.write(outcome)
        return index


class Beam:
    """Runs one pipeline for each analysis."""

    def __init__(self, options: Any, exchange: str) -> None:
        self.options = options
        self.exchange = exchange

    def map(self, work: Work, blocks: Sequence[Block]) -> Iterator[tuple[int, bytes]]:
        """In order, when all are done."""
        if not blocks:
            return
        apache_beam, files = _library(""), _files()
        folder = files.join(self.exchange, f"tidemill-{uuid.uuid4().hex}")
        files.mkdirs(folder)
        try:
            with apache_beam.Pipeline(options=self.options) as pipeline:
                (
                    pipeline
                    | "blocks" >> apache_beam.Create(list(blocks))
                    | "spread" >> apache_beam.Reshuffle()
                    | "do" >> apache_beam.Map(_Leave(work, folder))
                )
            for block in blocks:
                with files.open(_place(folder, block.index)) as file:
                    yield block.index, file.read()
        finally:
            files.delete([folder])


def _place(folder: str, index: int) -> str:
    name: str = _files().join(folder, f"block-{index:08}")
    return name


@contextmanager
def beam(options: Sequence[str] = ()) -> Iterator[Backend]:
    """Opens it; options are those of Beam's pipelines, and `--exchange=URI`."""
    try:
        settings = _library(".options.pipeline_options")
    except ImportError:
        raise missing("beam", "apache-beam") from None
    given = [option.removeprefix(_EXCHANGE) for option in options if option.startswith(_EXCHANGE)]
    pipeline_options = settings.PipelineOptions([o for o in options if not o.startswith(_EXCHANGE)])
    exchange = given[-1] if given else pipeline_options.view_as(settings.GoogleCloudOptions).temp_location
    if exchange:
        yield Beam(pipeline_options, exchange)
        return
    with tempfile.TemporaryDirectory(prefix="tidemill-exchange-") as folder:
        yield Beam(pipeline_options, folder)


def _library(module: str) -> Any:
    return importlib.import_module("apache_beam" + module)


def _files() -> Any:
    """Beam's file systems: local, and those of the clouds that are installed."""
    return _library(".io.filesystems").FileSystems
