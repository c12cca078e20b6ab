"""Virtual environments of nodes: made once, whole or not at all, and nothing leaks into them."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
    import os, sys
    from pathlib import Path
    from tidemill import Examples, Input, JsonValue, Output, VirtualEnv, component, pipeline

    @component
    def look(number: int = 0) -> dict:
        import iniconfig
        found = {"file": iniconfig.__file__, "executable": sys.executable, "path": sys.path}
        for name in ("polars", "pytest", "rich"):
            try:
                __import__(name)
                found[name] = True
            except ImportError:
                found[name] = False
        Path("journal.txt").open("a").write("call\\n")
        return found

    @pipeline
    def daily(nodes: int = 1):
        for i in range(COUNT):
            look(number=i).with_id(f"look{i}").with_options(
                environment=VirtualEnv(requirements=REQUIREMENTS, python=PYTHON)
            )
"""
TINY = ("iniconfig==2.0.0",)


def write(project, *requirements: str, count: int = 1, python: str = "") -> None:
    text = PIPELINE.replace("COUNT", str(count)).replace("PYTHON", repr(python))
    project.write("pipeline.py", text.replace("REQUIREMENTS", repr(requirements)))


@pytest.fixture(scope="session")
def index() -> None:
    """The package index, or what uv keeps of it."""
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    done = subprocess.run([uv, "pip", "compile", "--quiet", "-"], input=TINY[0], text=True,
                          capture_output=True, check=False, timeout=120)  # fmt: skip
    if done.returncode:
        pytest.skip(f"uv cannot resolve {TINY[0]} here: {done.stderr.strip().splitlines()[-1:]}")


def value(project, answer: dict[str, Any], node: str) -> dict[str, Any]:
    ((uri,),) = project.query(
        "SELECT uri FROM Artifact JOIN Event ON Artifact.id = artifact_id"
        " WHERE execution_id = ? AND Event.type = 4",
        answer["nodes"][node]["execution"],
    )
    return dict(json.loads(Path(uri, "value.json").read_text()))


def properties(project, execution: int) -> dict[str, Any]:
    return dict(
        project.query(
            "SELECT name, coalesce(string_value, double_value) FROM ExecutionProperty WHERE execution_id = ?",
            execution,
        )
    )


def environments(project) -> list[Path]:
    folder = project.folder / ".tidemill" / "environments"
    return sorted(p.parent for p in folder.glob("*/lock.json"))


def test_an_environment_is_made_once_and_holds_what_was_asked_for(project, sound, index) -> None:
    write(project, *TINY, count=3)
    answer = project.run()
    assert set(project.states(answer).values()) == {"COMPLETE"}, answer
    (made,) = environments(project)
    found = value(project, answer, "look0")
    assert found["executable"] == str(made / "venv" / "bin" / "python")
    assert Path(found["file"]).is_relative_to(made / "venv")
    assert (found["polars"], found["pytest"], found["rich"]) == (False, False, True)
    # Nothing of the installation that runs tidemill is on the path but tidemill's own copy.
    assert not [
        p for p in found["path"] if Path(p).is_relative_to(sys.prefix) and sys.prefix != sys.base_prefix
    ]

    noted = [properties(project, node["execution"]) for node in answer["nodes"].values()]
    assert {n["tidemill.packages"] for n in noted} == {"iniconfig==2.0.0"}
    assert len({n["tidemill.environment"] for n in noted}) == 1
    assert all(n["tidemill.python"].startswith("3.") for n in noted)
    logs = "".join(Path(node["log"]).read_text() for node in answer["nodes"].values())
    assert logs.count("making environment") == 1
    assert "iniconfig==2.0.0" in logs

    before = (made / "complete.json").stat().st_mtime_ns
    again = project.run()
    assert set(project.states(again).values()) == {"CACHED"}
    project.run("--no-cache")
    assert (made / "complete.json").stat().st_mtime_ns == before
    sound(project)


def test_other_versions_are_another_environment_and_not_cached(project, index) -> None:
    write(project, *TINY)
    project.run()
    write(project, "iniconfig==2.1.0")
    assert "environment changed" in project.tidemill("explain", "pipeline.py").stdout
    answer = project.run()
    assert project.states(answer) == {"look0": "COMPLETE"}
    assert (
        "environment changed" in properties(project, answer["nodes"]["look0"]["execution"])["tidemill.cache"]
    )
    assert len(environments(project)) == 2
    write(project, *TINY)
    assert project.states(project.run()) == {"look0": "CACHED"}


@pytest.mark.parametrize("when", ["during", "unmarked", "broken"])
def test_an_environment_that_is_not_whole_is_made_anew(
    project, sound, index, tmp_path: Path, when: str
) -> None:
    write(project, *TINY)
    if when == "during":
        kill_while_making(project, tmp_path / "bin")
    else:
        project.run()
        (made,) = environments(project)
        if when == "unmarked":
            (made / "complete.json").unlink()
            shutil.rmtree(made / "venv" / "lib")
        else:
            (made / "venv" / "bin" / "python").unlink()
    answer = project.run("--no-cache")
    assert project.states(answer) == {"look0": "COMPLETE"}, answer
    made_now = "making environment" in Path(answer["nodes"]["look0"]["log"]).read_text()
    assert made_now == (when != "during")  # the one that waited made it
    sound(project)


def slow_uv(folder: Path) -> None:
    """A uv that installs nothing, and only tells that it was asked to."""
    folder.mkdir()
    real = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    script = folder / "uv"
    script.write_text(
        f'#!/bin/sh\ncase "$2" in install) touch "{folder}/asked"; exec sleep 60;; esac\nexec "{real}" "$@"\n'
    )
    script.chmod(0o755)


def kill_while_making(project, folder: Path) -> None:
    """Kill the runner while its environment is half made."""
    slow_uv(folder)
    process = project.start("run", "pipeline.py", PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    _until((folder / "asked").exists)
    process.kill()
    process.communicate(timeout=60)
    (sleeping,) = [p for p in Path("/proc").glob("[0-9]*/environ") if _started_by(p, folder)]
    # Its tool outlived it and holds the lock; whoever comes next must wait for it.
    waiting = project.start("run", "pipeline.py")
    _until(lambda: any("waiting for it" in p.read_text() for p in logs(project)))
    os.kill(int(sleeping.parent.name), 9)
    out, err = waiting.communicate(timeout=120)
    assert waiting.returncode == 0, out + err


def _started_by(environ: Path, folder: Path) -> bool:
    try:
        words = (environ.parent / "cmdline").read_bytes().split(b"\0")
        return words[:1] == [b"sleep"] and str(folder).encode() in environ.read_bytes()
    except OSError:
        return False


def logs(project) -> list[Path]:
    return list((project.folder / ".tidemill" / "logs").rglob("*.log"))


def test_making_can_be_canceled(project, sound, index, tmp_path: Path) -> None:
    write(project, *TINY)
    folder = tmp_path / "bin"
    slow_uv(folder)
    process = project.start("run", "pipeline.py", "--json", PATH=f"{folder}{os.pathsep}{os.environ['PATH']}")
    _until((folder / "asked").exists)
    process.terminate()
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert json.loads(out)["nodes"]["look0"]["state"] == "CANCELED"
    assert not [p for p in Path("/proc").glob("[0-9]*/environ") if _started_by(p, folder)]
    sound(project)


def test_requirements_that_cannot_be_met_say_so(project, index) -> None:
    write(project, "iniconfig==2.0.0", "iniconfig==2.1.0")
    answer = project.run(expect=1)
    assert answer["nodes"]["look0"]["failure"] == "ENVIRONMENT"
    assert "iniconfig" in answer["nodes"]["look0"]["message"]
    assert "package index" in answer["nodes"]["look0"]["message"]


def test_without_uv_the_error_says_how_to_get_it(project, tmp_path: Path) -> None:
    """Also beside the interpreter there is none: it is started by a link in a folder of its own."""
    write(project, *TINY)
    folder = tmp_path / "bin"
    folder.mkdir()
    source = "import sys\nsys.executable = sys.argv.pop(1)\nfrom tidemill.cli.main import main\nmain()\n"
    (folder / "start.py").write_text(source)
    (folder / "python").symlink_to(sys.executable)
    words = [sys.executable, str(folder / "start.py"), str(folder / "python"), "run", "pipeline.py", "--json"]
    ir = project.tidemill("compile", "pipeline.py", "--output", "pipeline.json")
    assert ir.returncode == 0
    done = subprocess.run([*words[:4], "pipeline.json", "--json"], cwd=project.folder, capture_output=True,
                          text=True, check=False, env={**os.environ, "PATH": str(folder)})  # fmt: skip
    answer = json.loads(done.stdout)
    assert answer["nodes"]["look0"]["failure"] == "RESOLUTION"
    assert "pip install uv" in answer["nodes"]["look0"]["message"]


def test_a_root_that_cannot_be_written_fails_the_node_and_not_the_runner(project, sound, index) -> None:
    write(project, *TINY)
    (project.folder / ".tidemill").mkdir()
    (project.folder / ".tidemill" / "environments").write_text("in the way")
    answer = project.run(expect=1)
    assert answer["nodes"]["look0"]["failure"] == "STORAGE"
    assert "environments" in answer["nodes"]["look0"]["message"]
    sound(project)


def test_an_unknown_extra_of_tidemill_is_named(project) -> None:
    write(project, "tidemill[dta]")
    answer = project.run(expect=1)
    assert "did you mean 'data'?" in answer["nodes"]["look0"]["message"]


def test_a_missing_python_is_named(project) -> None:
    write(project, python="3.99")
    answer = project.run(expect=1)
    assert answer["nodes"]["look0"]["failure"] == "ENVIRONMENT"
    assert "3.99" in answer["nodes"]["look0"]["message"]


@pytest.mark.parametrize("isolation", ["process", "fresh", "none"])
def test_a_node_chooses_its_own_isolation(project, sound, isolation: str) -> None:
    """One that is isolated in a run that is not, and the other way round."""
    project.write(
        "pipeline.py",
        f"""
        import os
        from tidemill import component, pipeline

        @component
        def who() -> dict:
            print("from", os.getpid())
            starter = int(open(f"/proc/{{os.getppid()}}/stat").read().rsplit(")", 1)[1].split()[1])
            return {{"pid": os.getpid(), "supervisor": os.getppid(), "starter": starter}}

        @pipeline
        def daily():
            who().with_id("usual")
            who().with_id("own").with_options(isolation={isolation!r})
        """,
    )
    for usual in ("process", "none"):
        process = project.start("run", "pipeline.py", "--json", "--no-cache", "--isolation", usual)
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, err
        answer = json.loads(out)
        own = value(project, answer, "own")
        assert (own["pid"] == process.pid) == (isolation == "none")
        # A supervisor is started by the runner itself, or forked from the warm spawner.
        assert (own["starter"] == process.pid) == (isolation == "fresh") or isolation == "none"
        assert (value(project, answer, "usual")["pid"] == process.pid) == (usual == "none")
        for name in ("own", "usual"):
            pid = value(project, answer, name)["pid"]
            assert Path(answer["nodes"][name]["log"]).read_text() == f"from {pid}\n"
    sound(project)


def _until(holds) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
