"""A pipeline root behind a URI, and two machines that share nothing but it and the record.

`local://` is a file system of fsspec's like those of object stores: nothing of ours opens its files itself.
"""

from __future__ import annotations

import json
import shutil

import pytest

LINE = """
    import sys
    from pathlib import Path
    from tidemill import Input, Integer, Model, Output, component, pipeline

    @component
    def count(to: int) -> int:
        print("counting")
        return to

    @component
    def train(model: Output[Model], *, count: Input[Integer], much: int = 0) -> None:
        assert "mirror" in str(model.path) and model.uri.startswith("local://")
        (model.path / "weights").write_bytes(bytes(count.value * 1000))
        Path("journal.txt").open("a").write("train ")
        if much:
            sys.exit("too much")

    @component
    def measure(model: Input[Model]) -> int:
        Path("journal.txt").open("a").write("measure ")
        return (model.path / "weights").stat().st_size

    @pipeline
    def line(to: int = 3, much: int = 0) -> None:
        model = train(count=count(to=to).outputs.result, much=much).outputs.model
        measure(model=model)
"""


@pytest.fixture
def project(project, monkeypatch):
    """The root is a URI, and the mirror belongs to the first machine."""
    project.write("pipeline.py", LINE)
    monkeypatch.setenv("TIDEMILL_ROOT", f"local://{project.folder}/bucket")
    monkeypatch.setenv("TIDEMILL_METADATA", f"sqlite:///{project.folder}/metadata.db")
    monkeypatch.setenv("TIDEMILL_MIRROR", str(project.folder / "mirror"))
    return project


def test_a_second_machine_goes_on(project) -> None:
    first = project.run("--to", "train")
    assert project.states(first) == {"count": "COMPLETE", "train": "COMPLETE"}
    shutil.rmtree(project.folder / "mirror")
    second = project.run()
    assert project.states(second) == {"count": "CACHED", "train": "CACHED", "measure": "COMPLETE"}
    assert project.journal() == ["train", "measure"]
    shutil.rmtree(project.folder / "mirror")
    assert "counting" in project.tidemill("logs", first["run"], "count").stdout
    listed = json.loads(project.tidemill("artifacts", "list", "--type", "Model", "--json").stdout)
    shown = project.tidemill("artifacts", "show", str(listed[0]["artifact"])).stdout
    assert "weights  3000 bytes" in shown
    assert "sound" in project.tidemill("doctor", "--deep").stdout


def test_what_is_gone_is_made_again(project) -> None:
    project.run()
    (weights,) = (project.folder / "bucket").rglob("weights")
    weights.write_bytes(b"cut")
    found = project.tidemill("doctor", expect=1).stdout
    assert "has 3 bytes instead of 3000" in found
    shutil.rmtree(project.folder / "mirror")
    again = project.run("--new")
    assert project.states(again) == {"count": "CACHED", "train": "COMPLETE", "measure": "CACHED"}


def test_prune_removes_what_the_store_has(project) -> None:
    project.run("--param", "to=1")
    project.run("--param", "much=1", expect=1)
    project.run("--param", "to=2")
    said = project.tidemill("prune", "--keep-last", "1", "--yes").stdout
    assert "deleted 4 artifacts of 2 runs" in said
    kept = sorted(p.name for p in (project.folder / "bucket").rglob("*") if p.is_file())
    assert kept.count("weights") == 1
    assert len([name for name in kept if name.endswith(".log")]) == 3


def test_a_store_that_refuses_fails_the_node(project) -> None:
    project.run("--to", "count")
    bucket = project.folder / "bucket"
    shutil.rmtree(bucket / "line")
    (bucket / "line").write_text("a file in the way")
    ended = project.run("--param", "to=9", expect=1)
    assert project.states(ended)["count"] == "FAILED"
    assert "cannot write it" in ended["nodes"]["count"]["message"]


def test_the_record_must_have_a_place(project, monkeypatch) -> None:
    monkeypatch.delenv("TIDEMILL_METADATA")
    said = project.tidemill("run", "pipeline.py", expect=2).stderr
    assert "cannot hold the record" in said
    assert "--metadata" in said


def test_a_log_is_followed_from_another_machine(project) -> None:
    project.write(
        "waiting.py",
        """
        from pathlib import Path
        from tidemill import NodeOptions, component, heartbeat, pipeline

        @component
        def talk(folder: str) -> None:
            print("said at the beginning", flush=True)
            Path(folder, "said").touch()
            while not Path(folder, "heard").exists():
                heartbeat()
            print("said at the end", flush=True)

        @pipeline
        def waiting(folder: str) -> None:
            talk(folder=folder)
        """,
    )
    folder = str(project.folder)
    run = project.start("run", "waiting.py", "--param", f"folder={folder}", TIDEMILL_LOG_PERIOD="0.1")
    project.until((project.folder / "said").exists)
    follower = project.start("logs", "latest", "talk", "-f", TIDEMILL_MIRROR=f"{folder}/elsewhere")
    assert follower.stdout.readline() == "said at the beginning\n"
    (project.folder / "heard").touch()
    said, _ = follower.communicate(timeout=60)
    assert (said, follower.returncode) == ("said at the end\n", 0)
    run.communicate(timeout=60)
    kept = [p.name for p in (project.folder / "bucket").rglob("*") if p.is_file() and "log" in p.name]
    assert kept == ["talk.0.1.log"], "the pieces are gone"


def test_the_mirror_has_a_limit_and_a_run_is_none_the_wiser(project, monkeypatch) -> None:
    """Runs at the same time, in a mirror with room for one model, cleared all the while by hand."""
    monkeypatch.setenv("TIDEMILL_MIRROR_LIMIT", "4K")
    runs = [project.start("run", "pipeline.py", "--param", f"to={to}", "--new", "--json") for to in (3, 4)]
    while any(run.poll() is None for run in runs):
        project.tidemill("mirror", "clear")
    for run in runs:
        said, complaint = run.communicate()
        assert run.returncode == 0, said + complaint
    shown = json.loads(project.tidemill("mirror", "clear", "--json").stdout)
    assert (shown["bytes"], shown["held_bytes"]) == (0, 0)
    assert "sound" in project.tidemill("doctor", "--deep").stdout
    assert "0 B in 0 artifacts" in project.tidemill("mirror", "show").stdout
    said = project.tidemill("mirror", "clear", "--to", "lots", expect=2).stderr
    assert "write for example 20Gi" in said
