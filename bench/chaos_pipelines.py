"""Small pipelines whose components keep a ledger outside of the record; for bench/chaos.py.

A line says that an execution began or ended its work. Lines are appended in one write and synced, so that
not even a kill parts them.
"""

from __future__ import annotations

import os
import time

from tidemill import ForEach, Input, Model, NodeOptions, Output, collect, component, pipeline, run


def record(ledger: str, what: str, made: Model) -> None:
    """One line: what, and the folder of the execution."""
    line = f"{what} {made.path.parent}\n".encode()
    file = os.open(ledger, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    os.write(file, line)
    os.fsync(file)
    os.close(file)


@component
def work(
    before: Input[list[Model]] | None, made: Output[Model], *, ledger: str, seconds: float, seed: int,
    run_id: str, part: int = 0,
) -> None:  # fmt: skip
    """Some time, and a file that depends on what came before."""
    record(ledger, "begin", made)
    time.sleep(seconds)
    texts = [(model.path / "text").read_text(encoding="utf-8") for model in before or []]
    (made.path / "text").write_text(f"{seed} {part} {run_id} {len(texts)}", encoding="utf-8")
    record(ledger, "end", made)


OPTIONS = NodeOptions(cache=False, retries=6, backoff=0.05)


@pipeline(options=OPTIONS)
def chain(ledger: str, seed: int) -> None:
    """Five in a row."""
    done: list[Model] = []
    for i in range(5):
        node = work(before=done[-1:], ledger=ledger, seconds=0.05, seed=seed, run_id=run.id, part=i)
        done.append(node.with_id(f"work{i}").outputs.made)


@pipeline(options=OPTIONS)
def loop(ledger: str, seed: int) -> None:
    """Three iterations of two nodes, and one after them."""
    with ForEach([1, 2, 3], name="each") as part:
        one = work(before=[], ledger=ledger, seconds=0.1, seed=seed, run_id=run.id, part=part).with_id("one")
        two = work(
            before=[one.outputs.made], ledger=ledger, seconds=0.05, seed=seed, run_id=run.id, part=part
        )
        two = two.with_id("two")
    all_of = collect(two.outputs.made)
    work(before=all_of, ledger=ledger, seconds=0.05, seed=seed, run_id=run.id).with_id("last")
