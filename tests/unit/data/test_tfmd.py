"""Statistics and anomalies as TensorFlow Metadata has them: ours come back whole, theirs keep figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from google.protobuf import text_format
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tensorflow_metadata.proto.v0 import anomalies_pb2, statistics_pb2

from tidemill.data.analyze import analyze_tables
from tidemill.data.anomalies import ANOMALIES, OWN, Anomalies, Anomaly, Measure, write_anomalies
from tidemill.data.infer import infer_schema
from tidemill.data.schema_file import load_schema, write_schema
from tidemill.data.statistics import Statistics, read_statistics, write_statistics
from tidemill.data.tfmd import anomalies, statistics
from tidemill.data.tfmd.convert import convert, load_any_statistics
from tidemill.data.tfmd.files import read_message
from tidemill.errors import DataError

NAN, INF = float("nan"), float("inf")


def made(columns: dict[str, Any]) -> Statistics:
    table = pa.table(columns)
    return Statistics(splits={"train": analyze_tables([table], table.schema)})


MIXED = {
    "id": [1, 2, 3, 4],
    "fare": [1.5, NAN, INF, None],
    "kind": ["a", "ü", "a", None],
    "paid": [True, False, None, True],
    "at": pa.array([0, 1, 2, None], pa.timestamp("us")),
    "tags": [["x"], ["x", "y"], [], None],
    "deep": [[[1, 2], [3]], [[4]], None, [[]]],
    "raw": pa.array([b"x", b"yy", None, b""]),
    "void": pa.nulls(4),
}  # fmt: skip
values = (
    st.lists(st.none() | st.integers(-(2**53), 2**53), min_size=3, max_size=3)
    | st.lists(st.none() | st.floats(), min_size=3, max_size=3)
    | st.lists(st.none() | st.text(max_size=3), min_size=3, max_size=3)
    | st.lists(st.none() | st.booleans(), min_size=3, max_size=3)
    | st.lists(st.none() | st.lists(st.integers(0, 9), max_size=3), min_size=3, max_size=3)
)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.generate])
@given(st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), values, min_size=1))
def test_any_statistics_come_back(columns: dict[str, list[Any]]) -> None:
    found = made(columns)
    message, notes = statistics.to_tfmd(found)
    again = statistics_pb2.DatasetFeatureStatisticsList.FromString(message.SerializeToString())
    assert statistics.from_tfmd(again) == (found, [])
    assert notes == []


def test_tfdv_finds_its_figures() -> None:
    message, _ = statistics.to_tfmd(made(MIXED))
    (dataset,) = message.datasets
    assert (dataset.name, dataset.num_examples) == ("train", 4)
    features = {f.path.step[0]: f for f in dataset.features}
    assert [statistics_pb2.FeatureNameStatistics.Type.Name(features[n].type) for n in MIXED] == [
        "INT", "FLOAT", "STRING", "INT", "STRING", "STRING", "INT", "BYTES", "STRING",
    ]  # fmt: skip
    number = features["id"].num_stats
    assert (number.mean, number.min, number.max, number.num_zeros) == (2.5, 1, 4, 0)
    assert {statistics_pb2.Histogram.HistogramType.Name(h.type) for h in number.histograms} == {
        "STANDARD", "QUANTILES",
    }  # fmt: skip
    assert features["fare"].num_stats.histograms[0].num_nan == 1
    text = features["kind"].string_stats
    assert (text.unique, text.top_values[0].value, text.top_values[0].frequency) == (2, "a", 2)
    assert (text.common_stats.num_non_missing, text.common_stats.num_missing) == (3, 1)
    tags = features["tags"].string_stats.common_stats
    assert (tags.min_num_values, tags.max_num_values, tags.avg_num_values) == (0, 2, 1)
    deep = features["deep"].num_stats.common_stats.presence_and_valency_stats
    assert [level.tot_num_values for level in deep] == [4, 4]
    truth = features["paid"].num_stats
    assert (truth.mean, truth.num_zeros, truth.max) == (pytest.approx(2 / 3), 1, 1)


def test_statistics_that_tfdv_made_keep_what_both_have() -> None:
    message = text_format.Parse(
        """
        datasets {
          num_examples: 10
          features {
            path { step: "fare" } type: FLOAT
            num_stats {
              common_stats { num_non_missing: 8 num_missing: 2 min_num_values: 1 max_num_values: 1 }
              mean: 5.5 std_dev: 2 num_zeros: 1 min: 0 median: 5 max: 10
              histograms { num_nan: 1 type: STANDARD
                buckets { low_value: 0 high_value: 5 sample_count: 4 }
                buckets { low_value: 5 high_value: 10 sample_count: 3 } }
              histograms { type: QUANTILES
                buckets { low_value: 0 high_value: 4 sample_count: 3.5 }
                buckets { low_value: 4 high_value: 10 sample_count: 3.5 } }
            }
          }
          features {
            name: "kind" type: STRING
            string_stats {
              common_stats { num_non_missing: 10 min_num_values: 0 max_num_values: 3 tot_num_values: 12 }
              unique: 2 avg_length: 1
              rank_histogram {
                buckets { label: "b" sample_count: 7 }
                buckets { low_rank: 1 label: "a" sample_count: 5 }
              }
            }
          }
          features { name: "inner" type: STRUCT struct_stats { common_stats { num_non_missing: 3 } } }
          features { name: "gone" type: INT num_stats { common_stats { num_missing: 10 } } }
          cross_features { count: 3 }
        }
        """,
        statistics_pb2.DatasetFeatureStatisticsList(),
    )
    found, notes = statistics.from_tfmd(message)
    split = found.split("train")
    fare, kind, inner, gone = split.columns
    assert fare.numeric is not None
    assert (fare.numeric.mean, fare.numeric.nan, fare.numeric.zeros) == (5.5, 1, 1)
    assert fare.numeric.quantiles[::25] == (0, 2, 4, 7, 10)
    assert fare.numeric.histogram is not None
    assert fare.numeric.histogram.counts == (4, 3)
    assert kind.string is not None
    assert kind.string.frequencies == (("b", 7), ("a", 5))
    assert (kind.valency[0].min, kind.valency[0].max, kind.valency[0].total) == (0, 3, 12)
    assert (inner.type, gone.type, gone.missing) == ("other", "empty", 10)
    told = "\n".join(notes)
    for word in ("percentiles are drawn", "cross_features", "STRUCT"):
        assert word in told
    assert infer_schema([split]).columns["kind"].domain == ("a", "b")


def anomaly(name: str, column: str, severity: Any = "error", split: str = "train") -> Anomaly:
    return Anomaly(name=name, severity=severity, split=split, column=column, short="short", long="It is 3.")


@settings(max_examples=40, phases=[Phase.explicit, Phase.generate])
@given(
    st.lists(
        st.tuples(st.sampled_from(sorted(ANOMALIES)), st.sampled_from(["", "a", "b.c", "d'e"])), max_size=8
    )
)
def test_anomalies_come_back(pairs: list[tuple[str, str]]) -> None:
    found = Anomalies(anomalies=tuple(anomaly(name, column) for name, column in pairs))
    messages, notes = anomalies.to_tfmd(found)
    back, more = anomalies.from_tfmd(messages)
    assert sorted(map(str, back.anomalies)) == sorted(map(str, found.anomalies))
    assert notes == more == []


def test_what_anomalies_lose_is_noted() -> None:
    measures = (
        Measure(split="train", column="a", measure="linf", value=0.5, threshold=0.1),
        Measure(split="train", column="a", measure="jsd", value=0.5, threshold=None, against="serving"),
        Measure(split="train", column="a", measure="psi", value=0.5, threshold=0.1),
    )
    first = anomaly("SCHEMA_NEW_COLUMN", "a", "warning")
    second = anomaly("COMPARATOR_POPULATION_STABILITY_INDEX_HIGH", "a")
    messages, notes = anomalies.to_tfmd(Anomalies(anomalies=(first, second), measures=measures))
    info = messages["train"].anomaly_info["a"]
    assert info.severity == anomalies_pb2.AnomalyInfo.ERROR
    assert [r.type for r in info.reason] == [anomalies_pb2.AnomalyInfo.SCHEMA_NEW_COLUMN, 0]
    assert info.short_description == "Multiple errors"
    assert notes == ["train/a: a warning stands beside an error, and has its severity there",
                     "train: no counterpart for measures psi"]  # fmt: skip
    back, _ = anomalies.from_tfmd(messages)
    assert back.measures == measures[:2]
    assert {a.name for a in back.anomalies} & OWN == {"COMPARATOR_POPULATION_STABILITY_INDEX_HIGH"}


# -- files


def test_files_both_ways(tmp_path: Path) -> None:
    found = made(MIXED)
    write_statistics(tmp_path, found)
    write_schema(tmp_path, infer_schema(list(found.splits.values())))
    for name in ("stats.pb", "stats.pbtxt"):
        convert(tmp_path / "statistics.json", tmp_path / name, "statistics")
        assert load_any_statistics(tmp_path / name) == (found, [])
        folder = tmp_path / f"{name}-back"
        folder.mkdir()
        convert(tmp_path / name, folder / "statistics.json")
        assert read_statistics(folder) == found
    convert(tmp_path / "statistics.json", tmp_path / "tfx")
    assert (tmp_path / "tfx" / "Split-train" / "FeatureStats.pb").exists()
    assert load_any_statistics(tmp_path / "tfx")[0] == found
    convert(tmp_path / "schema.yaml", tmp_path / "schema.pbtxt")
    convert(tmp_path / "schema.pbtxt", tmp_path / "again.yaml")
    assert load_schema(tmp_path / "again.yaml") == load_schema(tmp_path / "schema.yaml")
    write_anomalies(tmp_path, Anomalies(anomalies=(anomaly("SCHEMA_NEW_COLUMN", "a"),)))
    convert(tmp_path / "anomalies.json", tmp_path / "tfx")
    assert (tmp_path / "tfx" / "Split-train" / "SchemaDiff.pb").exists()
    convert(tmp_path / "tfx", tmp_path / "back.json", "anomalies")
    assert json.loads((tmp_path / "back.json").read_text())["anomalies"][0]["column"] == "a"


def test_files_that_are_something_else(tmp_path: Path) -> None:
    (tmp_path / "x.pbtxt").write_text("feature {\n  nme: 3\n}")
    with pytest.raises(DataError) as caught:
        convert(tmp_path / "x.pbtxt", tmp_path / "x.yaml")
    assert caught.value.where == f"{tmp_path / 'x.pbtxt'}:2"
    (tmp_path / "x.pb").write_bytes(b"\xff\xff\xff")
    for kind in (statistics_pb2.DatasetFeatureStatisticsList, anomalies_pb2.Anomalies):
        with pytest.raises(DataError, match="not a"):
            read_message(tmp_path / "x.pb", kind)
    with pytest.raises(DataError, match="does not exist"):
        read_message(tmp_path / "none.pb", anomalies_pb2.Anomalies)
    with pytest.raises(DataError) as caught:
        convert(tmp_path / "x.pb", tmp_path / "y.pbtxt")
    assert "--kind" in caught.value.hint
    (tmp_path / "x.csv").write_text("")
    with pytest.raises(DataError, match="not a file of statistics"):
        load_any_statistics(tmp_path / "x.csv")
