"""Statistics as TensorFlow Metadata's `statistics.proto`, and back.

TFDV's own tools read what is written here. What they have no field for (percentiles, truth values, lists
in lists ...) travels as JSON in a custom statistic called `tidemill`, from which ours come back whole.
Statistics that TFDV computed have eleven deciles where ours have 101 percentiles: the rest is drawn
straight between them, and noted.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from tidemill.data.statistics import (
    ColumnStatistics,
    Histogram,
    NumericSummary,
    SplitStatistics,
    Statistics,
    StringSummary,
    Valency,
)
from tidemill.data.tfmd.files import proto_module

OWN = "tidemill"
_KINDS = {"INT": "int", "FLOAT": "float", "STRING": "string"}


def to_tfmd(statistics: Statistics) -> tuple[Any, list[str]]:
    """A `DatasetFeatureStatisticsList` with a dataset per split, and a note on what it leaves out."""
    pb = proto_module("statistics_pb2")
    message = pb.DatasetFeatureStatisticsList()
    notes: list[str] = []
    if statistics.sample_rate != 1.0 or statistics.weight_column is not None:
        notes.append("the sample rate and the name of the weight column are left out")
    whole = statistics.to_json()["splits"]
    for name, split in statistics.splits.items():
        dataset = message.datasets.add(name=name, num_examples=split.num_rows)
        if split.weight is not None:
            dataset.weighted_num_examples = split.weight
        if split.slices:
            notes.append(f"split {name}: slices are left out")
        if any(column.weighted is not None for column in split.columns):
            notes.append(f"split {name}: weighted figures are in the custom statistic only")
        for column, plain in zip(split.columns, whole[name]["columns"], strict=True):
            feature = dataset.features.add()
            feature.path.step.append(column.name)
            _write_column(pb, feature, column)
            feature.custom_stats.add(name=OWN, str=json.dumps(plain, separators=(",", ":")))
    return message, notes


def _write_column(pb: Any, feature: Any, column: ColumnStatistics) -> None:
    kind = pb.FeatureNameStatistics.Type
    if column.numeric is not None or column.type == "int":
        feature.type = kind.INT if column.type == "int" else kind.FLOAT
        _write_common(feature.num_stats.common_stats, column)
        if column.numeric is not None:
            _write_numbers(pb, feature.num_stats, column.numeric)
    elif column.boolean is not None:
        feature.type = kind.INT  # as TFDV has it
        _write_common(feature.num_stats.common_stats, column)
        true, false = column.boolean.true, column.boolean.false
        stats = feature.num_stats
        stats.num_zeros = false
        if true + false:
            stats.mean = true / (true + false)
            stats.min, stats.max = float(not false), float(true > 0)
            stats.std_dev = (stats.mean * (1 - stats.mean)) ** 0.5
            stats.median = float(true > false)
    elif column.string is not None:
        feature.type = kind.STRING
        _write_common(feature.string_stats.common_stats, column)
        _write_texts(feature.string_stats, column.string)
    elif column.bytes is not None:
        feature.type = kind.BYTES
        _write_common(feature.bytes_stats.common_stats, column)
        feature.bytes_stats.unique = column.bytes.distinct
        feature.bytes_stats.avg_num_bytes = column.bytes.avg_length
        feature.bytes_stats.min_num_bytes = column.bytes.min_length or 0
        feature.bytes_stats.max_num_bytes_int = column.bytes.max_length or 0
    else:
        feature.type = kind.STRING
        _write_common(feature.string_stats.common_stats, column)


def _write_common(common: Any, column: ColumnStatistics) -> None:
    common.num_non_missing = column.count
    common.num_missing = column.missing
    if not column.valency:
        common.tot_num_values = column.count
        if column.count:
            common.min_num_values = common.max_num_values = 1
            common.avg_num_values = 1.0
        return
    outer = column.valency[0]
    common.tot_num_values = column.valency[-1].total
    common.min_num_values, common.max_num_values = outer.min or 0, outer.max or 0
    common.avg_num_values = outer.avg
    missing, present = column.missing, column.count
    for level in column.valency:
        common.presence_and_valency_stats.add(
            num_non_missing=present, num_missing=missing, min_num_values=level.min or 0,
            max_num_values=level.max or 0, tot_num_values=level.total,
        )  # fmt: skip
        missing, present = level.nulls, level.total - level.nulls


def _write_numbers(pb: Any, stats: Any, numbers: NumericSummary) -> None:
    stats.num_zeros = numbers.zeros
    for field, value in (
        ("mean", numbers.mean), ("std_dev", numbers.std), ("min", numbers.min), ("max", numbers.max),
        ("median", numbers.median),
    ):  # fmt: skip
        if value is not None:
            setattr(stats, field, value)
    kinds = pb.Histogram.HistogramType
    for kind, bins in ((kinds.STANDARD, numbers.histogram), (kinds.QUANTILES, numbers.quantile_histogram)):
        if bins is None and not (numbers.nan and kind == kinds.STANDARD):
            continue
        histogram = stats.histograms.add(type=kind, num_nan=numbers.nan)
        for low, high, count in _buckets(bins):
            histogram.buckets.add(low_value=low, high_value=high, sample_count=count)


def _buckets(bins: Histogram | None) -> Iterator[tuple[float, float, int]]:
    if bins is not None:
        yield from zip(bins.edges, bins.edges[1:], bins.counts, strict=False)


def _write_texts(stats: Any, texts: StringSummary) -> None:
    stats.unique = texts.distinct
    stats.avg_length = texts.avg_length
    for value, rows in texts.top_values:
        stats.top_values.add(value=value, frequency=rows)
    for rank, (value, rows) in enumerate(texts.frequencies):
        stats.rank_histogram.buckets.add(low_rank=rank, high_rank=rank, label=value, sample_count=rows)


def from_tfmd(message: Any) -> tuple[Statistics, list[str]]:
    """Our statistics, a split per dataset; and a note on each thing that is lost or had to be guessed."""
    pb = proto_module("statistics_pb2")
    notes: list[str] = []
    splits: dict[str, SplitStatistics] = {}
    for dataset in message.datasets:
        name = dataset.name or "train"
        if name in splits:
            notes.append(f"dataset {name!r}: a second one of that name is left out")
            continue
        columns = tuple(
            _read_column(pb, feature, dataset.num_examples, notes) for feature in dataset.features
        )
        weight = dataset.weighted_num_examples or None
        splits[name] = SplitStatistics(num_rows=dataset.num_examples, columns=columns, weight=weight)
        if dataset.cross_features:
            notes.append(f"dataset {name!r}: cross_features have no counterpart")
    return Statistics(splits=splits), notes


def _read_column(pb: Any, feature: Any, rows: int, notes: list[str]) -> ColumnStatistics:
    name = feature.name or ".".join(feature.path.step)
    own = next((custom.str for custom in feature.custom_stats if custom.name == OWN), None)
    if own is not None:
        split = {"num_rows": rows, "columns": [json.loads(own)]}
        return Statistics.from_json({"splits": {"": split}}).splits[""].columns[0]
    lost = [
        f.name for f, _ in feature.ListFields() if f.name in ("custom_stats", "validation_derived_source")
    ]
    for field in lost:
        notes.append(f"feature {name!r}: {field} has no counterpart")
    kind = pb.FeatureNameStatistics.Type.Name(feature.type)
    which = feature.WhichOneof("stats")
    common = getattr(feature, which).common_stats if which is not None else None
    count = 0 if common is None else common.num_non_missing
    fields: dict[str, Any] = {
        "name": name, "type": _KINDS.get(kind, "other") if count else "empty", "count": count,
        "missing": rows if common is None else common.num_missing,
        "valency": () if common is None else _valency(common),
    }  # fmt: skip
    if which == "num_stats" and count:
        fields["numeric"] = _numbers(pb, feature.num_stats, name, kind == "INT", notes)
    elif which == "string_stats" and count and kind == "STRING":
        fields["string"] = _texts(feature.string_stats)
    elif which is not None and count:
        notes.append(f"feature {name!r}: values of type {kind} are counted, not described")
    return ColumnStatistics(**fields)


def _valency(common: Any) -> tuple[Valency, ...]:
    levels = list(common.presence_and_valency_stats)
    if len(levels) <= 1:
        if common.min_num_values == common.max_num_values == 1 or not common.num_non_missing:
            return ()
        levels = [common]
    found = []
    for at, level in enumerate(levels):
        nulls = levels[at + 1].num_missing if at + 1 < len(levels) else 0
        average = level.tot_num_values / level.num_non_missing if level.num_non_missing else 0.0
        found.append(
            Valency(
                min=level.min_num_values, max=level.max_num_values, avg=average, total=level.tot_num_values,
                nulls=nulls,
            )
        )  # fmt: skip
    return tuple(found)


def _numbers(pb: Any, stats: Any, name: str, whole: bool, notes: list[str]) -> NumericSummary:
    kinds: Mapping[int, Any] = {histogram.type: histogram for histogram in stats.histograms}
    standard = kinds.get(pb.Histogram.STANDARD)
    deciles = kinds.get(pb.Histogram.QUANTILES) or standard
    nan = max((histogram.num_nan for histogram in stats.histograms), default=0)

    def plain(value: float) -> int | float:
        return int(value) if whole and value == int(value) else value

    finite = stats.min - stats.min == 0 and stats.max - stats.max == 0
    quantiles = _percentiles(deciles, stats.min, stats.max) if finite else ()
    if quantiles and deciles is not None:
        notes.append(f"feature {name!r}: percentiles are drawn between {len(deciles.buckets)} bins")
    return NumericSummary(
        mean=_known(stats.mean), std=_known(stats.std_dev),
        min=plain(stats.min) if finite else None, max=plain(stats.max) if finite else None,
        zeros=stats.num_zeros, nan=nan, infinite=0,
        quantiles=tuple(plain(q) for q in quantiles),
        histogram=_histogram(standard, plain) if finite else None,
    )  # fmt: skip


def _known(value: float) -> float | None:
    return value if value - value == 0 else None


def _histogram(histogram: Any, plain: Any) -> Histogram | None:
    if histogram is None or not histogram.buckets:
        return None
    buckets = [b for b in histogram.buckets if b.low_value - b.low_value == 0 == b.high_value - b.high_value]
    if not buckets:
        return None
    edges = (buckets[0].low_value, *(b.high_value for b in buckets))
    return Histogram(edges=tuple(map(plain, edges)), counts=tuple(round(b.sample_count) for b in buckets))


def _percentiles(histogram: Any, low: float, high: float) -> tuple[float, ...]:
    """101 points of the distribution that a histogram describes, each bucket evenly filled."""
    buckets = [] if histogram is None else [b for b in histogram.buckets if b.sample_count > 0]
    buckets = [b for b in buckets if b.low_value - b.low_value == 0 == b.high_value - b.high_value]
    total = sum(bucket.sample_count for bucket in buckets)
    if not total:
        return ()
    found, at, below = [], 0, 0.0
    for step in range(101):
        wanted = total * step / 100
        while at < len(buckets) - 1 and below + buckets[at].sample_count < wanted:
            below += buckets[at].sample_count
            at += 1
        bucket = buckets[at]
        inside = min(max((wanted - below) / bucket.sample_count, 0.0), 1.0)
        found.append(bucket.low_value * (1 - inside) + bucket.high_value * inside)
    found[0], found[-1] = low, high
    return tuple(min(max(value, low), high) for value in found)


def _texts(stats: Any) -> StringSummary:
    listed = [(bucket.label, round(bucket.sample_count)) for bucket in stats.rank_histogram.buckets]
    listed = listed or [(top.value, round(top.frequency)) for top in stats.top_values]
    return StringSummary(
        distinct=stats.unique,
        exact=True,
        avg_length=stats.avg_length,
        frequencies=tuple(sorted(dict(listed).items(), key=lambda pair: (-pair[1], pair[0]))),
    )
