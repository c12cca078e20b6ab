"""InfraValidator's work: start, ask, compare, and write the verdict."""

from __future__ import annotations

import json
import re
import shutil
import statistics
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tidemill.components.infra_validator.asking import Asker, Measured, Row, compare, plain_row
from tidemill.components.infra_validator.launching import NotServing, Surroundings, started, tail_of
from tidemill.data.parquet import read_schema, read_tables, select_splits, split_folder
from tidemill.errors import DataError, TidemillError, ValidationFailed, did_you_mean
from tidemill.models import LoadedModel, load_model
from tidemill.serving.columns import Batch, check_columns, to_rows
from tidemill.serving.hosting import WARMUP, warmup_line
from tidemill.storage.manifest import NAME as SEAL
from tidemill.types.standard import Examples, InfraBlessing, Model

FILE, LOG = "blessing.json", "server.log"
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(k|m|g|t)?i?b?", re.IGNORECASE)
_UNITS = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


@dataclass(kw_only=True)
class _Verdict:
    """What is wrong, and what was measured."""

    reasons: list[str] = field(default_factory=list)
    checks: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    log: str = ""


def run(
    *,
    model: Model,
    blessing: InfraBlessing,
    model_with_warmup: Model,
    examples: Examples | None = None,
    splits: Sequence[str] = (),
    num_examples: int = 64,
    num_warmup_requests: int = 8,
    tolerance: float = 1e-6,
    max_loading_time: float = 300.0,
    num_tries: int = 3,
    max_latency: float | None = None,
    max_memory: str | None = None,
    image: str = "",
    env: Mapping[str, str] | None = None,
    env_from: Sequence[str] = (),
    cpu: float = 0.0,
    memory: str = "",
    fail: bool = False,
) -> None:
    """Write `blessing.json` and the model with its warm-up requests; see the component."""
    if num_examples < 1 or num_tries < 1 or num_warmup_requests < 0 or not max_loading_time > 0:
        raise DataError(
            "num_examples and num_tries must be 1 or more, max_loading_time more than 0",
            hint="leave examples out to load the model only",
        )
    limit = _bytes(max_memory) if max_memory else 0
    where = Surroundings(image=image, env=dict(env or {}), env_from=tuple(env_from), cpu=cpu, memory=memory)
    verdict, rows = _Verdict(), []
    try:
        loaded = load_model(model.path)
    except TidemillError as error:
        verdict.reasons.append(f"the model cannot be loaded: {error.message}")
    else:
        rows = _rows_of(examples, splits, num_examples, loaded) if examples is not None else []
        with tempfile.TemporaryDirectory() as folder:
            _try(verdict, loaded, rows, where, Path(folder) / LOG, max_loading_time, num_tries, tolerance)
        _limit(verdict, max_latency, limit)
    _write(blessing, verdict)
    _with_warmup(
        model.path, model_with_warmup.path, rows[:num_warmup_requests] if not verdict.reasons else []
    )
    if fail and verdict.reasons:
        raise ValidationFailed(f"the model is not blessed for serving: {verdict.reasons[0]}")


def _rows_of(examples: Examples, splits: Sequence[str], most: int, loaded: LoadedModel) -> list[Row]:
    """The first raw rows, with the columns that the model asks for."""
    for name in splits:
        if name not in examples.splits:
            raise DataError(f"the examples have no split {name!r}", hint=did_you_mean(name, examples.splits))
    names = loaded.signature.input_names
    found: list[Row] = []
    for split in splits or select_splits(examples.splits, ()):
        folder = split_folder(examples.path, split)
        known = read_schema(folder).names
        if missing := [f.name for f in loaded.signature.inputs if f.name not in known and f.type != "empty"]:
            raise DataError(
                f"the examples have no column {missing[0]!r}, which the model asks for",
                where=f"split {split}", hint=did_you_mean(missing[0], known),
            )  # fmt: skip
        for table in read_tables(folder, [name for name in names if name in known] or None):
            found += [plain_row(row) for row in table.slice(0, most - len(found)).to_pylist()]
            if len(found) >= most:
                return found
    if not found:
        raise DataError("the examples have no rows to ask with", hint="leave examples out to load only")
    return found


def _try(
    verdict: _Verdict, loaded: LoadedModel, rows: Sequence[Row], where: Surroundings, log: Path,
    max_loading_time: float, num_tries: int, tolerance: float,
) -> None:  # fmt: skip
    """Start the server until it serves, `num_tries` times at most, and ask it."""
    types = {f.name: (f.type, f.shape) for f in loaded.signature.inputs}
    for attempt in range(1, num_tries + 1):
        began = time.monotonic()
        try:
            with started(loaded.folder, where, log, began + max_loading_time) as running:
                asker = Asker(running)
                try:
                    asker.wait_until_ready(began + max_loading_time)
                    verdict.figures["load_seconds"] = round(time.monotonic() - began, 3)
                    verdict.checks.append("loaded")
                    _judge(verdict, asker.measure(rows, types), loaded, rows, tolerance)
                finally:
                    asker.close()
            return
        except NotServing as error:
            print(f"try {attempt} of {num_tries}: {error}\n{tail_of(log)}", flush=True)
            verdict.checks.clear()
            verdict.figures.clear()
            if attempt == num_tries:
                verdict.log = tail_of(log)
                tries = f" ({num_tries} tries)" if num_tries > 1 else ""
                verdict.reasons.append(f"{error}{tries}")


def _judge(
    verdict: _Verdict, measured: Measured, loaded: LoadedModel, rows: Sequence[Row], tolerance: float
) -> None:
    if measured.memory:
        verdict.figures["memory_bytes"] = measured.memory
    if not rows:
        return
    columns = {name: [row.get(name) for row in rows] for name in loaded.signature.input_names}
    plain = to_rows(check_columns(Batch(len(rows), columns), loaded.signature.inputs))
    largest, wrong = 0.0, ""
    pairs = [(answer, loaded.predict_rows([row])) for answer, row in zip(measured.single, plain, strict=True)]
    for served, expected in [*pairs, (measured.together, loaded.predict_rows(plain))]:
        off, why = compare(served, expected, tolerance)
        largest, wrong = max(largest, off), wrong or why
    verdict.figures["max_difference"] = largest
    ordered = sorted(measured.latencies)
    verdict.figures["latency_p50_ms"] = round(1e3 * statistics.median(ordered), 3)
    verdict.figures["latency_p99_ms"] = round(1e3 * ordered[-1 - len(ordered) // 100], 3)
    if wrong:
        verdict.reasons.append(f"the server does not answer as the model does: {wrong}")
    else:
        verdict.checks.append(f"answered {len(rows)} rows as the model does")


def _limit(verdict: _Verdict, max_latency: float | None, max_memory: int) -> None:
    slowest, held = verdict.figures.get("latency_p99_ms"), verdict.figures.get("memory_bytes")
    if max_latency is not None and slowest is not None and slowest > 1e3 * max_latency:
        verdict.reasons.append(
            f"99 of 100 requests took up to {slowest:g} ms; {1e3 * max_latency:g} ms are allowed"
        )
    if max_memory and held is not None and held > max_memory:
        verdict.reasons.append(
            f"the server holds {held / 2**20:.0f} MiB; {max_memory / 2**20:.0f} MiB are allowed"
        )


def _write(blessing: InfraBlessing, verdict: _Verdict) -> None:
    blessed = int(not verdict.reasons)
    value: dict[str, Any] = {"blessed": bool(blessed), "reasons": verdict.reasons, "checks": verdict.checks}
    (blessing.path / FILE).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")
    if verdict.log:
        (blessing.path / LOG).write_text(verdict.log + "\n", encoding="utf-8")
    blessing.blessed = blessed
    blessing.reason = "; ".join(verdict.reasons or verdict.checks)
    for name, figure in verdict.figures.items():
        blessing.custom_properties[name] = figure
    print(("blessed: " if blessed else "not blessed: ") + str(blessing.reason))
    print(", ".join(f"{name} {figure:g}" for name, figure in verdict.figures.items()))


def _with_warmup(source: Path, target: Path, rows: Sequence[Row]) -> None:
    """Copy the model; requests to warm it up stand in a file beside `model.json`, one row each."""
    ignored = shutil.ignore_patterns(SEAL, WARMUP)
    shutil.copytree(source, target, dirs_exist_ok=True, ignore=ignored)
    if rows:
        (target / WARMUP).write_text("".join(warmup_line([row]) for row in rows), encoding="utf-8")


def _bytes(text: str) -> int:
    found = _SIZE.fullmatch(text.strip())
    if found is None:
        raise DataError(f"max_memory={text!r} is no size", hint='write "512Mi" or "2Gi"')
    return int(float(found[1]) * _UNITS[(found[2] or "").lower()])
