"""Files of ours as files of TensorFlow Metadata, and back; and reading either where one is asked for."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from tidemill.data import anomalies as our_anomalies
from tidemill.data import statistics as our_statistics
from tidemill.data.anomalies import Anomalies, read_anomalies
from tidemill.data.schema import Schema
from tidemill.data.schema_file import FILE as SCHEMA_FILE
from tidemill.data.schema_file import load_schema, schema_text
from tidemill.data.statistics import Statistics, read_statistics
from tidemill.data.tfmd import anomalies, schema, statistics
from tidemill.data.tfmd.files import TEXT_SUFFIXES, proto_module, read_message, write_message
from tidemill.errors import DataError

Kind = Literal["schema", "statistics", "anomalies"]
SUFFIXES = (*TEXT_SUFFIXES, ".pb", ".binpb")
_TFX_FILES = {"statistics": "FeatureStats.pb", "anomalies": "SchemaDiff.pb"}


def is_tfmd(path: Path) -> bool:
    """Whether a file is TensorFlow Metadata's, by its suffix."""
    return path.suffix in SUFFIXES


def load_any_schema(path: Path) -> tuple[Schema, list[str]]:
    """A schema file of ours (or the folder that holds one) or of TFX; and notes on what was lost."""
    if is_tfmd(path):
        return schema.from_tfmd(read_message(path, proto_module("schema_pb2").Schema), str(path))
    return load_schema(path / SCHEMA_FILE if path.is_dir() else path), []


def load_any_statistics(path: Path) -> tuple[Statistics, list[str]]:
    """Statistics of ours (the folder or the file) or of TFX (a file, or the folder of its splits)."""
    if is_tfmd(path):
        return statistics.from_tfmd(_statistics_message(path))
    if path.is_dir() and not (path / our_statistics.FILE).exists() and _split_folders(path):
        found: dict[str, Any] = {}
        notes: list[str] = []
        for split, folder in _split_folders(path).items():
            one, more = statistics.from_tfmd(_statistics_message(folder / _TFX_FILES["statistics"]))
            found[split] = next(iter(one.splits.values()))
            notes += more
        return Statistics(splits=found), notes
    if path.is_file() and path.name != our_statistics.FILE:
        hint = (
            f"give a folder with {our_statistics.FILE}, or a file of TFX that ends in {', '.join(SUFFIXES)}"
        )
        raise DataError("not a file of statistics, by its name", where=str(path), hint=hint)
    return read_statistics(path if path.is_dir() else path.parent), []


def _statistics_message(path: Path) -> Any:
    return read_message(path, proto_module("statistics_pb2").DatasetFeatureStatisticsList)


def _split_folders(path: Path) -> dict[str, Path]:
    return {f.name.removeprefix("Split-"): f for f in sorted(path.glob("Split-*")) if f.is_dir()}


def convert(source: Path, target: Path, kind: Kind | None = None) -> list[str]:
    """Write `source` in the other form as `target`, whose suffix names the form; notes on what is lost.

    Ours are `.yaml` and `.json`, TFX's `.pbtxt` (text) and `.pb` (binary); a target without a suffix is a
    folder with TFX's `Split-<name>/FeatureStats.pb` or `SchemaDiff.pb`. DataError when the two names do not
    say what is to be done.
    """
    known: Kind = kind or _guess(source, target)
    if known == "schema":
        found, notes = load_any_schema(source)
        if is_tfmd(target):
            message, more = schema.to_tfmd(found)
            write_message(target, message)
            return notes + more
        target.write_text(schema_text(found), encoding="utf-8")
        return notes
    if known == "statistics":
        return _convert_statistics(source, target)
    return _convert_anomalies(source, target)


def _guess(source: Path, target: Path) -> Kind:
    names = {source.name, target.name}
    if target.suffix in (".yaml", ".yml") or source.suffix in (".yaml", ".yml"):
        return "schema"
    if our_anomalies.FILE in names or _TFX_FILES["anomalies"] in names:
        return "anomalies"
    if our_statistics.FILE in names or _TFX_FILES["statistics"] in names:
        return "statistics"
    if source.is_dir():
        if (source / SCHEMA_FILE).exists():
            return "schema"
        return "anomalies" if (source / our_anomalies.FILE).exists() else "statistics"
    raise DataError(
        f"the names {source.name!r} and {target.name!r} do not say what this is",
        hint="give --kind schema, --kind statistics or --kind anomalies",
    )


def _convert_statistics(source: Path, target: Path) -> list[str]:
    found, notes = load_any_statistics(source)
    if target.suffix == ".json":
        _write_json(target, found.to_json())
        return notes
    message, more = statistics.to_tfmd(found)
    if is_tfmd(target):
        write_message(target, message)
        return notes + more
    kind = proto_module("statistics_pb2").DatasetFeatureStatisticsList
    for dataset in message.datasets:
        one = kind(datasets=[dataset])
        _write_split(target, dataset.name, _TFX_FILES["statistics"], one)
    return notes + more


def _convert_anomalies(source: Path, target: Path) -> list[str]:
    if is_tfmd(source) or _split_folders(source):
        found, notes = anomalies.from_tfmd(_anomaly_messages(source))
    else:
        found, notes = read_anomalies(source if source.is_dir() else source.parent), []
    if target.suffix == ".json":
        _write_json(target, found.to_json())
        return notes
    return notes + _write_anomalies(found, target)


def _anomaly_messages(source: Path) -> Mapping[str, Any]:
    kind = proto_module("anomalies_pb2").Anomalies
    if source.is_file():
        return {source.parent.name.removeprefix("Split-"): read_message(source, kind)}
    folders = _split_folders(source)
    return {split: read_message(f / _TFX_FILES["anomalies"], kind) for split, f in folders.items()}


def _write_anomalies(found: Anomalies, target: Path) -> list[str]:
    messages, notes = anomalies.to_tfmd(found)
    if not is_tfmd(target):
        for split, message in messages.items():
            _write_split(target, split or "all", _TFX_FILES["anomalies"], message)
        return notes
    if len(messages) > 1:
        raise DataError(
            f"the anomalies are of {len(messages)} splits, and TFX's file holds one",
            hint="name a folder without a suffix",
        )
    message = next(iter(messages.values()), proto_module("anomalies_pb2").Anomalies())
    write_message(target, message)
    return notes


def _write_split(target: Path, split: str, file: str, message: Any) -> None:
    folder = target / f"Split-{split}"
    folder.mkdir(parents=True, exist_ok=True)
    write_message(folder / file, message)


def _write_json(target: Path, value: Any) -> None:
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    target.write_text(text + "\n", encoding="utf-8")
