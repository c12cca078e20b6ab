"""`tidemill artifacts list --filter`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from tidemill.cli.artifacts import artifacts
from tidemill.metadata.filter import FilterError, compile_filter, quoted
from tidemill.metadata.model import Artifact, TypeKind
from tidemill.metadata.sql import open_store
from tidemill.testing.store_stories import end_node, start_run


@pytest.fixture
def place(tmp_path: Path) -> list[str]:
    """Two runs of `taxi`, one of `other`: data 1, model 2; data 3; data 4."""
    store = open_store(str(tmp_path / "metadata.db"))
    for run, pipeline, span in (("r1", "taxi", 7), ("r2", "taxi", 8), ("r3", "other", 9)):
        start_run(store, run, pipeline=pipeline)
        examples = Artifact(type="Examples", uri=f"file:///{run}/examples", properties={"span": span})
        end_node(store, run, "gen", outputs={"examples": [examples]})
        if run == "r1":
            end_node(store, run, "trainer", outputs={"model": [Artifact(type="Model", uri="file:///m")]})
    store.close()
    return ["list", "--root", str(tmp_path), "--json"]


def listed(place: list[str], *words: str) -> list[int]:
    done = CliRunner().invoke(artifacts, [*place, *words], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return [found["artifact"] for found in json.loads(done.output)]


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--filter", "type = 'Examples'"], [4, 3, 1]),
        (["--filter", "type = 'Examples'", "--limit", "2"], [4, 3]),
        (["--filter", "type = 'Examples'", "--limit", "0"], []),
        (["--filter", "properties.span.int_value >= 8"], [4, 3]),
        (["--filter", "properties.span.int_value >= 8 -- new ones", "--pipeline", "taxi"], [3]),
        (["--filter", "id = 1 OR id = 2 OR id = 4", "--type", "Examples"], [4, 1]),
        (["--filter", "id = 1 OR id = 2 OR id = 4", "--run", "r1"], [2, 1]),
        (["--filter", "id < 4", "--run", "r1", "--type", "Model", "--pipeline", "taxi"], [2]),
        (["--filter", "contexts_a.type = 'node' AND contexts_a.name LIKE '%.trainer'"], [2]),
        (["--filter", "id > 0", "--pipeline", "it's not"], []),
        (["--filter", "id > 0", "--type", "'; DROP TABLE Artifact; --"], []),
        (["--filter", ""], [4, 3, 2, 1]),
    ],
)
def test_list_with_a_filter(place: list[str], words: list[str], expected: list[int]) -> None:
    assert listed(place, *words) == expected


@pytest.mark.parametrize("condition", ["naem = 'x'", "id = 1) OR (id = 2", "id = 1 /*", "'a'"])
def test_a_mistake_is_shown_in_what_the_user_wrote(place: list[str], condition: str) -> None:
    with pytest.raises(FilterError) as caught:
        CliRunner().invoke(artifacts, [*place, "--filter", condition, "--type", "x"], catch_exceptions=False)
    assert caught.value.query == condition


def test_the_examples_of_the_help_are_filters() -> None:
    text = CliRunner().invoke(artifacts, ["list", "--help"]).output
    examples = [line.split('"')[1] for line in text.splitlines() if '--filter "' in line]
    assert len(examples) == 3
    for example in examples:
        compile_filter(example, TypeKind.ARTIFACT)


@pytest.mark.parametrize("text", ["", "it's", "back\\slash\\", "two\r\nlines", 'ä`"', "-- /* #"])
def test_quoted_texts_mean_themselves(text: str) -> None:
    assert compile_filter(f"name = {quoted(text)}", TypeKind.ARTIFACT).values == (text,)
