"""`tidemill runs compare`: parameters, code, inputs and results, and nothing that is equal."""

from __future__ import annotations

import json

PIPELINE = """
    from tidemill import Input, JsonValue, Model, Output, component, pipeline

    @component
    def make(size: int) -> list[int]:
        return list(range(size))

    @component
    def fit(numbers: Input[JsonValue], model: Output[Model], *, rate: float) -> float:
        (model.path / "weights.txt").write_text("w")
        return len(numbers.value) * rate

    @pipeline
    def daily(size: int = 2, rate: float = 0.5):
        fit(numbers=make(size=size).outputs.result, rate=rate)
"""


def test_only_differences_are_told(project) -> None:
    project.write("pipeline.py", PIPELINE)
    first = project.run()["run"]
    second = project.run("-p", "size=3")["run"]
    found = json.loads(project.tidemill("runs", "compare", first, second, "--json").stdout)["differences"]
    told = {(row["where"], row["what"]): (row["before"], row["after"]) for row in found}
    assert told[("run", "parameter size")] == (2, 3)
    assert told[("make", "parameter size")] == ("2", "3")
    assert told[("fit", "output result.value")] == (1.0, 1.5)
    assert ("fit", "input numbers") in told
    assert {key for key in told if "rate" in key[1] or "model" in key[1] or "code" in key[1]} == set()

    project.write("pipeline.py", PIPELINE.replace('"w"', '"v"'))
    third = project.run("-p", "size=3")["run"]
    found = json.loads(project.tidemill("runs", "compare", second, third, "--json").stdout)["differences"]
    assert {(row["where"], row["what"]) for row in found} == {
        ("run", "version"), ("make", "state"), ("fit", "code"), ("fit", "output model"),
    }  # fmt: skip
    text = project.tidemill("runs", "compare", first).stdout
    assert "parameter size" in text
    fourth = project.run("-p", "size=3")["run"]
    project.run("-p", "size=3")
    assert "the same work with the same results" in project.tidemill("runs", "compare", fourth).stdout
