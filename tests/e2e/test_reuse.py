"""What is reused and what is run again: code, parameters, inputs, and nothing else."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

PIPELINE = """
    from pathlib import Path
    import helping
    from tidemill import Input, JsonValue, Model, Output, component, pipeline

    FACTOR = 2

    @component
    def make(size: int = 3) -> list[int]:
        return helping.numbers(size)

    @component
    def fit(numbers: Input[JsonValue], model: Output[Model], *, rate: float = 0.1) -> float:
        (model.path / "weights.txt").write_text(str(sum(numbers.value) * FACTOR * rate))
        return 0.5

    @pipeline
    def daily(size: int = 3, rate: float = 0.1):
        fit(numbers=make(size=size).outputs.result, rate=rate)
"""
HELPER = """
    def numbers(size):
        return list(range(size))
"""
COMPLETE = {"make": "COMPLETE", "fit": "COMPLETE"}
CACHED = {"make": "CACHED", "fit": "CACHED"}


def test_an_equal_run_is_all_cached_and_has_the_same_version(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    first, second = project.run(), project.run()
    assert project.states(first) == COMPLETE
    assert project.states(second) == CACHED
    assert first["version"] == second["version"]
    text = project.tidemill("run", "pipeline.py").stdout
    assert "all 2 nodes cached" in text
    # A cached node links the very artifacts of the first run and makes none.
    assert project.query("SELECT COUNT(*) FROM Artifact") == [(3,)]


def test_comments_docstrings_and_unrelated_files_run_nothing_again(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    version = project.run()["version"]
    project.write("unrelated.py", "x = 1\n")
    project.write(
        "helping.py", "# A comment.\n" + HELPER.replace("\n    ", "\n").replace("return", "return  ")
    )
    project.write("pipeline.py", PIPELINE + "\n    # touched\n")
    again = project.run()
    assert project.states(again) == CACHED
    assert again["version"] == version


def test_a_changed_helper_module_runs_its_users_again_and_what_depends_on_them(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    project.run()
    project.write("helping.py", HELPER.replace("range(size)", "range(size, 2 * size)"))
    assert project.states(project.run()) == COMPLETE
    # Another way to the same numbers: make runs again, fit finds its input unchanged.
    project.write("helping.py", HELPER.replace("list(range(size))", "sorted(range(size, 2 * size))"))
    assert project.states(project.run()) == {"make": "COMPLETE", "fit": "CACHED"}


def test_a_constant_and_a_parameter_are_part_of_the_key_and_named_when_they_change(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    project.run()
    explained = project.tidemill("explain", "pipeline.py", "--param", "rate=0.2").stdout
    assert "parameter rate changed from 0.1 to 0.2" in explained
    answer = project.run("--param", "rate=0.2")
    assert project.states(answer) == {"make": "CACHED", "fit": "COMPLETE"}
    assert "parameter rate changed from 0.1 to 0.2" in answer["nodes"]["fit"]["message"]
    project.write("pipeline.py", PIPELINE.replace("FACTOR = 2", "FACTOR = 3"))
    answer = project.run("--param", "rate=0.2")
    assert project.states(answer) == {"make": "CACHED", "fit": "COMPLETE"}
    assert "code changed" in answer["nodes"]["fit"]["message"]


def test_explain_changes_nothing_and_foretells_the_run(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    before = project.tidemill("explain", "pipeline.py").stdout
    assert "make  RUN      first execution of this node" in before
    assert "fit   DEPENDS  depends on what comes out of make" in before
    assert project.query("SELECT COUNT(*) FROM Execution") == [(0,)]
    project.run()
    after = project.tidemill("explain", "pipeline.py").stdout
    assert after.count("CACHED") == 2


def test_outputs_that_are_gone_or_cut_short_are_made_again(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    project.run()
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/model'")
    os.truncate(Path(uri) / "weights.txt", 0)
    answer = project.run()
    assert project.states(answer) == {"make": "CACHED", "fit": "COMPLETE"}
    assert "has 0 bytes instead of" in answer["nodes"]["fit"]["message"]
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/model' ORDER BY id DESC LIMIT 1")
    shutil.rmtree(uri)
    answer = project.run()
    assert project.states(answer)["fit"] == "COMPLETE"
    assert (
        "is gone" in answer["nodes"]["fit"]["message"] or "has 0 bytes" in answer["nodes"]["fit"]["message"]
    )


def test_cache_can_be_off_and_can_expire(project) -> None:
    project.write(
        "pipeline.py",
        """
        from tidemill import NodeOptions, component, pipeline

        @component
        def make(size: int) -> int:
            return size

        @pipeline
        def three():
            make(size=1).with_id("kept")
            make(size=2).with_id("never").with_options(cache=False)
            make(size=3).with_id("short").with_options(cache_max_age=1e-6)
        """,
    )
    project.run()
    answer = project.run()
    assert project.states(answer) == {"kept": "CACHED", "never": "COMPLETE", "short": "COMPLETE"}
    assert answer["nodes"]["never"]["message"] == "caching is off for this node"
    assert "s old, more than" in answer["nodes"]["short"]["message"]


def test_a_run_may_reuse_nothing_and_still_be_reused_itself(project) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("helping.py", HELPER)
    project.run()
    answer = project.run("--no-cache")
    assert project.states(answer) == COMPLETE
    assert answer["nodes"]["fit"]["message"] == "caching is off in this run"
    again = project.run()
    assert project.states(again) == CACHED
    assert f"execution {answer['nodes']['fit']['execution']}" in again["nodes"]["fit"]["message"]
