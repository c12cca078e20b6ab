"""Anomalies as TensorFlow Metadata's `anomalies.proto`, one message per split as TFX keeps them, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from tidemill.data.anomalies import ANOMALIES, OWN, Anomalies, Anomaly, Measure
from tidemill.data.tfmd.files import proto_module

_MEASURES = {
    "linf": "L_INFTY", "jsd": "JENSEN_SHANNON_DIVERGENCE", "nad": "NORMALIZED_ABSOLUTE_DIFFERENCE",
}  # fmt: skip
_KINDS = {text: ours for ours, text in _MEASURES.items()}
_OURS = "tidemill."
MULTIPLE = "Multiple errors"


def to_tfmd(anomalies: Anomalies) -> tuple[dict[str, Any], list[str]]:
    """An `Anomalies` message for each split, "" for all splits together; and a note on what they cannot say.

    A feature has one severity there: the worst of its anomalies. Names that are ours alone become
    UNKNOWN_TYPE, with the name in the short description.
    """
    pb = proto_module("anomalies_pb2")
    notes: list[str] = []
    found: dict[str, Any] = {}
    for split in sorted({a.split for a in anomalies.anomalies} | {m.split for m in anomalies.measures}):
        message = pb.Anomalies(anomaly_name_format=pb.Anomalies.SERIALIZED_PATH)
        here = [a for a in anomalies.anomalies if a.split == split]
        for column, group in groupby(sorted(here, key=lambda a: a.column), key=lambda a: a.column):
            info = message.anomaly_info[_serialized(column)] if column else message.dataset_anomaly_info
            _write_info(pb, info, column, list(group), notes)
        _write_measures(pb, message, [m for m in anomalies.measures if m.split == split], notes)
        found[split] = message
    return found, notes


def _serialized(column: str) -> str:
    """A path of one step as text: quoted where it holds a dot or a quote (TFDV, path.cc)."""
    plain = column and not any(c in column for c in ".()'\"") and column.isprintable()
    return column if plain else "'" + column.replace("'", "''") + "'"


def _write_info(pb: Any, info: Any, column: str, group: Sequence[Anomaly], notes: list[str]) -> None:
    if column:
        info.path.step.append(column)
    errors = [a for a in group if a.severity == "error"]
    info.severity = pb.AnomalyInfo.ERROR if errors else pb.AnomalyInfo.WARNING
    if errors and len(errors) < len(group):
        where = "/".join(part for part in (group[0].split, column) if part) or "the rows"
        notes.append(f"{where}: a warning stands beside an error, and has its severity there")
    for anomaly in group:
        own = anomaly.name in OWN or anomaly.name not in pb.AnomalyInfo.Type.keys()  # noqa: SIM118 - an enum
        info.reason.add(
            type=pb.AnomalyInfo.UNKNOWN_TYPE if own else pb.AnomalyInfo.Type.Value(anomaly.name),
            short_description=_OURS + anomaly.name + ": " + anomaly.short if own else anomaly.short,
            description=anomaly.long,
        )
    info.short_description = info.reason[0].short_description if len(group) == 1 else MULTIPLE
    info.description = " ".join(reason.description for reason in info.reason)


def _write_measures(pb: Any, message: Any, measures: Sequence[Measure], notes: list[str]) -> None:
    columns = [m for m in measures if m.column]
    left = {m.measure for m in measures if m.measure not in _MEASURES}
    if left:
        where = measures[0].split or "the rows"
        notes.append(f"{where}: no counterpart for measures {', '.join(sorted(left))}")
    for column, group in groupby(sorted(columns, key=lambda m: m.column), key=lambda m: m.column):
        known = [m for m in group if m.measure in _MEASURES]
        if not known:
            continue
        info = message.drift_skew_info.add()
        info.path.step.append(column)
        for measure in known:
            target = info.drift_measurements if measure.against == "baseline" else info.skew_measurements
            kind = pb.DriftSkewInfo.Measurement.Type.Value(_MEASURES[measure.measure])
            target.add(type=kind, value=measure.value, threshold=measure.threshold)


def from_tfmd(messages: Mapping[str, Any]) -> tuple[Anomalies, list[str]]:
    """Our anomalies of messages by split; a note on each that has a name we do not know."""
    pb = proto_module("anomalies_pb2")
    notes: list[str] = []
    anomalies: list[Anomaly] = []
    measures: list[Measure] = []
    for split, message in messages.items():
        infos = [(_column(key, info), info) for key, info in sorted(message.anomaly_info.items())]
        if message.HasField("dataset_anomaly_info"):
            infos.insert(0, ("", message.dataset_anomaly_info))
        for column, info in infos:
            anomalies += _read_info(pb, info, split, column, notes)
        for item in message.drift_skew_info:
            for against, given in (
                ("baseline", item.drift_measurements),
                ("serving", item.skew_measurements),
            ):
                for measurement in given:
                    name = pb.DriftSkewInfo.Measurement.Type.Name(measurement.type)
                    if name not in _KINDS:
                        notes.append(f"{split}: no counterpart for measurements of type {name}")
                        continue
                    threshold = measurement.threshold if measurement.HasField("threshold") else None
                    measures.append(
                        Measure(
                            split=split, column=".".join(item.path.step), measure=_KINDS[name],
                            value=measurement.value, threshold=threshold,
                            against="baseline" if against == "baseline" else "serving",
                        )
                    )  # fmt: skip
    return Anomalies(anomalies=tuple(anomalies), measures=tuple(measures)), notes


def _column(key: str, info: Any) -> str:
    return ".".join(info.path.step) if info.path.step else key


def _read_info(pb: Any, info: Any, split: str, column: str, notes: list[str]) -> list[Anomaly]:
    found = []
    for reason in info.reason:
        name = pb.AnomalyInfo.Type.Name(reason.type)
        short = reason.short_description
        if name == "UNKNOWN_TYPE" and short.startswith(_OURS):
            name, _, short = short.removeprefix(_OURS).partition(": ")
        if name not in ANOMALIES:
            notes.append(f"{split}/{column}: {name} is no anomaly of ours, and kept under its name")
        severity = "warning" if info.severity == pb.AnomalyInfo.WARNING else "error"
        found.append(
            Anomaly(
                name=name, severity="warning" if severity == "warning" else "error", split=split,
                column=column, short=short, long=reason.description,
            )
        )  # fmt: skip
    return found
