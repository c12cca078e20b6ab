"""What a pipeline can say, run for real: each construct arrives in the executor as it was meant."""

from __future__ import annotations

import json
from typing import Any

PIPELINE = """
    import json
    from pathlib import Path
    from typing import Any, Callable, Literal, TypedDict
    from tidemill import (
        Artifact, Bytes, Examples, Float, Input, Integer, JsonValue, Model, Output, Pipeline, Property,
        component, env, files, pipeline, run, FileSet,
    )

    class Index(Artifact):
        BASE_TYPE = "Dataset"
        size = Property(int)
        note = Property(str, custom=True)

    class Split(TypedDict):
        low: list[int]
        high: list[int]
        ratio: float

    def keep(name: str, **facts: Any) -> None:
        Path(f"{name}.json").write_text(json.dumps(facts))

    @component
    def split(at: int, numbers: list[int]) -> Split:
        low = [n for n in numbers if n < at]
        return {"low": low, "high": [n for n in numbers if n >= at], "ratio": len(low) / len(numbers)}

    @component
    def index(numbers: Input[JsonValue], index: Output[Index], *, word: str = "none") -> bytes:
        (index.path / "sub").mkdir()
        (index.path / "sub" / "data.txt").write_text(" ".join(map(str, numbers.value)))
        index.size = len(numbers.value)
        index.note = word
        return bytes(numbers.value)

    @component
    def join(indexes: Input[list[Index]], extra: Input[Model] | None, raw: Input[Bytes], *,
             ratio: float, mode: Literal["a", "b"] = "a", options: dict[str, Any] | None = None) -> None:
        keep("join", sizes=[i.size for i in indexes], notes=[i.note for i in indexes], extra=extra,
             texts=[(i.path / "sub" / "data.txt").read_text() for i in indexes],
             raw=list(raw.value), ratio=ratio, mode=mode, options=options)

    @component
    def apply(function: Callable[[int], int], source: FileSet, *, text: str, size: int, where: str,
              variable: str, date: str) -> None:
        keep("apply", function=function(20), files=[Path(f.uri).name for f in source.files],
             span=source.span, text=text, size=size, where=where, variable=variable, date=date)

    def double(x: int) -> int:
        return 2 * x

    @pipeline
    def indexing(numbers: Any, word: str) -> Any:
        return index(numbers=numbers, word=word)

    @component
    def last() -> None:
        keep("last", seen=sorted(p.name for p in Path(".").glob("*.json")))

    @pipeline(name="language")
    def everything(at: int = 3, word: str = "w", weights: Any = None) -> None:
        parts = split(at=at, numbers=[1, 2, 3, 4, 5])
        low = indexing(numbers=parts.outputs["low"], word=f"low-{word}")
        high = index(numbers=parts.outputs["high"])
        joined = join(
            indexes=[low.outputs.index, high.outputs.index], raw=high.outputs.result,
            ratio=parts.outputs["ratio"],
            options={"day": run.date, "nested": [word, {"size": low.outputs.index.size}], "w": weights},
        )
        applied = apply(
            function=double, source=files("in-{YYYY}{MM}{DD}.txt", date=run.date, window=2),
            text=f"{word}/{run.date}/{low.outputs.index.note}", size=low.outputs.index.size,
            where=low.outputs.index.uri, variable=env("TEST_VARIABLE", "unset"), date=run.date,
        )
        [joined, applied] >> last()
"""


def read(project, name: str) -> dict[str, Any]:
    return dict(json.loads((project.folder / f"{name}.json").read_text()))


def test_every_construct_means_what_it_says(project, sound) -> None:
    project.write("pipeline.py", PIPELINE)
    for day in ("20240104", "20240105", "20240106"):
        project.write(f"in-{day}.txt", day)
    answer = project.run("--date", "2024-01-05", "-p", 'weights=[1, {"$x": null}]', TEST_VARIABLE="set")
    assert answer["state"] == "COMPLETE", answer
    assert set(answer["nodes"]) == {"split", "indexing.index", "index", "join", "apply", "last"}
    assert read(project, "join") == {
        "sizes": [2, 3], "notes": ["low-w", "none"], "texts": ["1 2", "3 4 5"], "extra": None,
        "raw": [3, 4, 5], "ratio": 0.4, "mode": "a",
        "options": {"day": "2024-01-05", "nested": ["w", {"size": 2}], "w": [1, {"$x": None}]},
    }  # fmt: skip
    applied = read(project, "apply")
    assert "/indexing.index/" in applied.pop("where")
    assert applied == {
        "function": 40, "files": ["in-20240104.txt", "in-20240105.txt"], "span": 19727,
        "text": "w/2024-01-05/low-w", "size": 2, "variable": "set", "date": "2024-01-05",
    }  # fmt: skip
    assert read(project, "last") == {"seen": ["apply.json", "join.json"]}
    sound(project)

    # The same files on another date are other work; a changed file is too; an unchanged rest is not.
    states = project.states(project.run("--date", "2024-01-06", "-p", 'weights=[1, {"$x": null}]'))
    assert states["split"] == states["indexing.index"] == "CACHED"
    assert states["apply"] == states["join"] == "COMPLETE"
    project.write("in-20240106.txt", "other bytes")
    states = project.states(project.run("--date", "2024-01-06", "-p", 'weights=[1, {"$x": null}]'))
    assert states["apply"] == "COMPLETE"
    assert states["join"] == "CACHED"


def test_types_and_lineage_are_on_record(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("in-20240105.txt", "x")
    project.run("--date", "2024-01-05")
    types = dict(
        project.query("SELECT t.name, p.data_type FROM Type t JOIN TypeProperty p ON p.type_id = t.id")
    )
    assert types["Index"] == 1
    rows = project.query(
        "SELECT name, is_custom_property, int_value, string_value FROM ArtifactProperty"
        " WHERE name IN ('size', 'note') ORDER BY artifact_id, name"
    )
    notes, sizes = ("note", 1, None, "low-w"), ("size", 0, 2, None)
    assert {notes, sizes, ("note", 1, None, "none"), ("size", 0, 3, None)} == set(rows)
    graph = json.loads(project.tidemill("lineage", "latest", "--format", "json").stdout)
    paths = {tuple(event["path"]) for event in graph["events"] if event["type"] == "INPUT"}
    assert {("indexes", 0), ("indexes", 1), ("raw", 0), ("numbers", 0)} <= paths
    contexts = project.query("SELECT t.name, c.name FROM Context c JOIN Type t ON t.id = c.type_id")
    assert ("pipeline", "language") in contexts
    assert ("node", "language.indexing.index") in contexts


DAILY = """
    import json
    from pathlib import Path
    from tidemill import (
        Examples, FileSet, Input, Model, ModelBlessing, Output, ValidationFailed, component, files,
        latest_blessed, pipeline, rolling_window, run,
    )

    @component
    def ingest(source: FileSet, examples: Output[Examples]) -> None:
        examples.span = source.span
        (examples.path / "value").write_text(Path(source.files[0].uri).read_text())

    @component
    def check(examples: Input[Examples]) -> None:
        if (examples.path / "value").read_text() == "bad":
            raise ValidationFailed("the day is bad")

    @component
    def train(window: Input[list[Examples]], model: Output[Model]) -> None:
        values = [(e.path / "value").read_text() for e in window]
        (model.path / "values.json").write_text(json.dumps(values))

    @component
    def judge(model: Input[Model], blessing: Output[ModelBlessing],
              champion: Input[Model] | None = None, *, date: str) -> None:
        values = json.loads((model.path / "values.json").read_text())
        best = champion and json.loads((champion.path / "values.json").read_text())
        Path(f"judge-{date}.json").write_text(json.dumps({"values": values, "champion": best}))
        blessing.blessed = int("dull" not in values[-1])

    @pipeline
    def daily() -> None:
        examples = ingest(source=files("{YYYY}-{MM}-{DD}.txt", date=run.date)).outputs.examples
        checked = check(examples=examples)
        model = train(window=rolling_window(examples, spans=3, passed=checked)).outputs.model
        judge(model=model, champion=latest_blessed(model), date=run.date)
"""


def test_windows_hold_what_passed_and_champions_are_those_of_the_day(project, sound) -> None:
    project.write("pipeline.py", DAILY)
    days = ["one", "two dull", "bad", "four", "five"]
    for number, value in enumerate(days, 1):
        project.write(f"2024-01-0{number}.txt", value)

    def play() -> list[dict[str, str]]:
        return [
            project.states(project.run("--date", f"2024-01-0{n}", expect=1 if value == "bad" else 0))
            for n, value in enumerate(days, 1)
        ]

    first = play()
    assert first[2] == {"ingest": "COMPLETE", "check": "FAILED"}
    judged = {n: read(project, f"judge-2024-01-0{n}") for n in (1, 2, 4, 5)}
    assert judged[1] == {"values": ["one"], "champion": None}
    assert judged[2] == {"values": ["one", "two dull"], "champion": ["one"]}
    # The bad day is not in the window, and the refused model of day two is no champion.
    assert judged[4] == {"values": ["one", "two dull", "four"], "champion": ["one"]}
    assert judged[5] == {
        "values": ["two dull", "four", "five"], "champion": ["one", "two dull", "four"],
    }  # fmt: skip
    sound(project)

    # The same days again give the same verdicts, out of the cache: each day looks only before itself.
    again = play()
    assert again[2] == {"ingest": "CACHED", "check": "FAILED"}
    assert all(set(states.values()) == {"CACHED"} for i, states in enumerate(again) if i != 2)
    sound(project)
