"""What a store must find: the part of StoreSuite about searching."""

from __future__ import annotations

import pytest

from tidemill.errors import StoreError
from tidemill.metadata.model import Artifact, NodeState, RunState
from tidemill.metadata.search import SearchKind
from tidemill.metadata.store import MetadataStore
from tidemill.testing.store_stories import end_node, examples, start_run


def found(
    store: MetadataStore, text: str, *kinds: SearchKind, type: str = "", pipeline: str = ""
) -> list[str]:
    """`kind name` of what is found, in order."""
    hits = store.search(text, kinds=kinds, type=type, pipeline=pipeline)
    return [f"{hit.kind} {hit.name}" for hit in hits]


def write_models(store: MetadataStore) -> None:
    """Two runs of two pipelines, with models of different names and properties."""
    for run, pipeline, auc, note in (("r1", "taxi", 0.91, "100%_sure!"), ("r2", "Größe", 0.5, "1000 sure")):
        start_run(store, run, pipeline=pipeline, date=f"2024-01-0{run[1]}")
        model = Artifact(
            type="Model", uri=f"s3://bucket/{run}/Modell", name=f"best of {run}",
            custom_properties={"auc": auc, "note": note, "steps": int(auc * 100), "final": run == "r1"},
        )  # fmt: skip
        end_node(store, run, "trainer", outputs={"m": [model], "x": [examples(3)]},
                 properties={"rate": 0.1 if run == "r1" else 0.2})  # fmt: skip
        end_node(store, run, "pusher", state=NodeState.FAILED, message='disk full: "no space" left')
    store.end_run("r1", RunState.COMPLETE, owner="driver")


class StoreSearch:
    """The part of StoreSuite that searches."""

    def test_words_are_found_anywhere(self, store: MetadataStore) -> None:
        """Names first, then types and states, properties and the rest; A to Z in either case."""
        assert store.search("anything") == []
        write_models(store)
        assert found(store, "BEST") == ["artifact best of r2", "artifact best of r1"]
        assert found(store, "bucket/R1") == ["artifact best of r1"]
        assert found(store, "modell", "artifact") == ["artifact best of r2", "artifact best of r1"]
        assert set(found(store, "Größe", "run", "context")) == {
            "context Größe", "context Größe.pusher", "context Größe.trainer", "run r2",
        }  # fmt: skip
        assert found(store, "failed", "execution") == ["execution r2/pusher/0/1", "execution r1/pusher/0/1"]
        assert found(store, "disk", "run") == ["run r2", "run r1"]
        assert found(store, '"no space"', "execution") == found(store, "failed", "execution")
        assert found(store, "2024-01-01", "run") == ["run r1"]

    def test_signs_of_sql_mean_themselves(self, store: MetadataStore) -> None:
        """Percent, underscore, the escape sign, quotes and backslashes."""
        write_models(store)
        for text in ("100%", "%_", "_sure", "sure!", "100%_sure!"):
            assert found(store, text, "artifact") == ["artifact best of r1"], text
        for text in ("100_", "%sure", "s%e", "!%", "'", "' OR 1=1 --", "\\\\", '"a\\"b"'):
            assert found(store, text, "artifact") == [], text

    def test_comparisons(self, store: MetadataStore) -> None:
        """Of properties of any kind, of parameters, and of what everything has."""
        write_models(store)
        one, two = ["artifact best of r1"], ["artifact best of r2"]
        for text, expected in {
            "auc>0.9": one, "auc<=0.5": two, "auc=0.91": one, "auc!=0.91": two, "steps=50": two,
            "steps>=50": [*two, *one], "auc>1": [], "final=true": one, "final!=true": two,
            'note="1000 sure"': two, "note=1000": [], 'name="best of r1"': one, "auc>0 final=false": two,
            "nothing=1": [], "type=Model": [*two, *one], "type=Model auc>0.9 live": one,
            "span=3 type=Examples": found(store, "Examples", "artifact"), "rate>=0": [],
            "uri=s3://bucket/r2/Modell": two,
        }.items():  # fmt: skip
            assert found(store, text, "artifact") == expected, text
        assert found(store, "rate>0.1") == ["execution r2/trainer/0/1"]
        assert found(store, "steps=100") == found(store, "steps<101", "run") == ["run r2", "run r1"]
        assert found(store, "steps=100 state=complete") == ["run r1"]
        assert found(store, "date>2024-01-01", "run") == ["run r2"]
        assert found(store, "state=FAILED", "execution", "run") == found(store, "failed", "execution")

    def test_kind_type_and_pipeline_narrow_it(self, store: MetadataStore) -> None:
        """And a limit cuts it."""
        write_models(store)
        assert found(store, "r1", "run") == ["run r1"]
        assert found(store, "r1", type="Model") == ["artifact best of r1"]
        assert found(store, "s3", pipeline="taxi") == ["artifact best of r1"]
        assert set(found(store, "r", "execution", "run", pipeline="Größe")) == {
            "execution r2/pusher/0/1", "execution r2/trainer/0/1", "run r2",
        }  # fmt: skip
        assert found(store, "s3", pipeline="none") == found(store, "s3", type="none") == []
        assert len(store.search("r", limit=3)) == 3
        assert store.search("r", limit=0) == []

    def test_a_hit_says_where(self, store: MetadataStore) -> None:
        """Every place in which a term is found, with what stands there."""
        write_models(store)
        (hit,) = store.search("best auc>0.9", kinds=["artifact"])
        assert (hit.type, hit.state) == ("Model", "LIVE")
        assert {(m.where, m.value) for m in hit.matches} == {("name", "best of r1"), ("property auc", "0.91")}
        (run,) = store.search("steps=100 taxi", kinds=["run"])
        assert {m.where for m in run.matches} == {"parameter steps", "pipeline"}
        assert run.type == "taxi"
        assert hit.score > 0

    @pytest.mark.parametrize("text", ["", "  ", '""', '"open', "=3", "state=ALIVE", "a" * 2001, "a " * 17])
    def test_what_is_no_search(self, store: MetadataStore, text: str) -> None:
        """Is refused in one sentence."""
        with pytest.raises(StoreError):
            store.search(text)
