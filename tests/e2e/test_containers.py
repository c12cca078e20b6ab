"""Nodes in containers: the whole command line always, a real engine where one answers."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from functools import cache
from pathlib import Path
from typing import Any

import pytest

PIPELINE = """
    import os, signal, subprocess, sys, time
    from pathlib import Path
    from tidemill import Container, FileSet, Resources, component, files, pipeline

    IMAGE = os.environ.get("TEST_IMAGE", "trainer:1")

    @component
    def inside(rows: FileSet, value: int = 3) -> dict:
        print("hello from", os.getcwd())
        return {"secret": os.environ.get("TOKEN"), "other": os.environ.get("OTHER"), "cwd": os.getcwd(),
                "rows": Path(rows.files[0].uri).read_text(), "python": sys.version.split()[0],
                "path": sys.path, "uid": os.getuid()}

    @component
    def fails() -> None:
        raise ValueError("not in here")

    @component
    def hangs(stubborn: bool) -> None:
        if stubborn:
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"])
        Path("started").touch()
        while True:
            time.sleep(0.01)

    @component
    def eats() -> None:
        bytearray(300 * 2**20)

    @pipeline
    def daily(pattern: str = "rows.csv"):
        inside(rows=files(pattern)).with_options(
            environment=Container(image=IMAGE, env=("TOKEN",), mounts=MOUNTS),
            resources=Resources(cpu=0.5, memory="256Mi"),
        )

    @pipeline
    def failing():
        fails().with_options(environment=Container(image=IMAGE))

    @pipeline
    def absent():
        fails().with_options(environment=Container(image="absent:1"))

    @pipeline
    def hanging(stubborn: bool = False, timeout: float = 0.0):
        hangs(stubborn=stubborn).with_options(environment=Container(image=IMAGE))

    @pipeline
    def late():
        hangs(stubborn=False).with_options(environment=Container(image=IMAGE), timeout=1.0)

    @pipeline
    def hungry():
        eats().with_options(environment=Container(image=IMAGE), resources=Resources(memory="64Mi"))
"""


# A client that only records, and runs the command it is given on this machine. What it is told is what
# the real one would be told; so command lines are tested wherever there is Python.
CLIENT = """#!{python}
import json, os, subprocess, sys
words = sys.argv[1:]
with open({journal!r}, "a") as file:
    file.write(json.dumps({{"words": words, "env": dict(os.environ)}}) + "\\n")
if words[0] == "info":
    print({info!r})
elif words[:2] == ["image", "inspect"]:
    if words[-1].startswith("absent"):
        sys.exit("Error: No such image")
    print("sha256:" + "ab" * 32)
elif words[0] == "pull":
    sys.exit("no registry here")
elif words[0] == "run":
    if {broken!r}:
        sys.stderr.write("docker: Error response from daemon: nothing works.\\n")
        sys.exit(125)
    env, i = {{"PATH": os.environ["PATH"]}}, 1
    while not words[i].startswith("sha256:"):
        if words[i] == "--env":
            name, has, value = words[i + 1].partition("=")
            env[name] = value if has else os.environ[name]
        i += 1
    entry = words[words.index("--entrypoint") + 1]
    os.chdir(words[words.index("--workdir") + 1])
    os.execve({python!r}, [entry, *words[i + 1 :]], env)
"""


def put_client(
    folder: Path,
    name: str = "docker",
    *,
    info: str = '["name=seccomp,profile=default"]',
    broken: bool = False,
) -> Path:
    """Write the client into a folder for PATH; its journal."""
    folder.mkdir(exist_ok=True)
    journal = folder / f"{name}.jsonl"
    client = folder / name
    client.write_text(CLIENT.format(python=sys.executable, journal=str(journal), info=info, broken=broken))
    client.chmod(0o755)
    return journal


def calls(journal: Path, verb: str) -> list[dict[str, Any]]:
    """What the client was called with, for one verb."""
    found = [json.loads(line) for line in journal.read_text().splitlines()]
    return [call for call in found if call["words"][0] == verb]


def write(project, *mounts: str) -> None:
    project.write("pipeline.py", PIPELINE.replace("MOUNTS", repr(mounts)))
    project.write("rows.csv", "a\n1\n")


def option(words: list[str], name: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == name]


def run(project, target: str, *words: str, expect: int = 0, **env: str) -> dict:
    done = project.tidemill("run", f"pipeline.py:{target}", "--json", *words, expect=expect, **env)
    return dict(json.loads(done.stdout))


@pytest.fixture
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("bin")


def with_path(path: Path) -> str:
    return f"{path}{os.pathsep}{os.environ['PATH']}"


def test_the_command_line_names_everything_and_no_secret(
    project, path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    further = tmp_path_factory.mktemp("further, with a comma")
    outside = tmp_path_factory.mktemp("outside")
    (outside / "rows.csv").write_text("a\n2\n")
    write(project, str(further))
    journal = put_client(path)
    given = {"PATH": with_path(path), "TOKEN": "s3cret", "OTHER": "not passed"}
    answer = run(project, "daily", "-p", f"pattern={outside / 'rows.csv'}", **given)
    assert answer["state"] == "COMPLETE"

    (call,) = calls(journal, "run")
    words = call["words"]
    assert "s3cret" not in " ".join(words)
    assert call["env"]["TOKEN"] == "s3cret"
    assert words[1:4] == ["--rm", "--interactive", "--pull=never"]
    assert option(words, "--user") == [f"{os.getuid()}:{os.getgid()}"]
    assert option(words, "--cpus") == ["0.5"]
    assert option(words, "--memory") == [f"{256 * 2**20}b"]
    assert option(words, "--workdir") == [str(project.folder)]
    assert "TOKEN" in option(words, "--env")
    assert "--network" not in words
    (support,) = (project.folder / ".tidemill" / "environments").glob("tidemill-*/complete.json")
    assert option(words, "--mount") == [
        f"type=bind,source={project.folder / '.tidemill'},target={project.folder / '.tidemill'}",
        f"type=bind,source={project.folder},target={project.folder}",
        f'type=bind,"source={further}","target={further}"',
        f"type=bind,source={outside},target={outside},readonly",
        f"type=bind,source={support.parent},target={support.parent},readonly",
    ]

    value = json.loads(Path(project.query("SELECT uri FROM Artifact")[0][0], "value.json").read_text())
    assert (value["secret"], value["other"], value["cwd"]) == ("s3cret", None, str(project.folder))
    assert value["rows"] == "a\n2\n"
    assert value["path"][:2] == [str(project.folder), str(support.parent / "package")]
    assert value["path"][-1] == str(support.parent / "dependencies")
    noted = dict(project.query("SELECT name, string_value FROM ExecutionProperty"))
    assert noted["tidemill.image"] == "trainer:1@sha256:" + "ab" * 32
    assert noted["tidemill.python"] == value["python"]
    assert not list((project.folder / ".tidemill").rglob(".exchange"))

    again = run(project, "daily", "-p", f"pattern={outside / 'rows.csv'}", **given)
    assert project.states(again) == {"inside": "CACHED"}
    assert len(calls(journal, "run")) == 1


@pytest.mark.parametrize(
    ("name", "info", "expected"),
    [
        ("docker", '["name=seccomp","name=rootless"]', []),
        ("podman", "true", ["--userns", "keep-id"]),
        ("podman", "false", ["--user", f"{os.getuid()}:{os.getgid()}"]),
    ],
)
def test_files_belong_to_the_user_whatever_the_engine(
    project, path: Path, name: str, info: str, expected: list[str]
) -> None:
    write(project)
    journal = put_client(path, name, info=info)
    put_client(path, "docker", info="") if name == "podman" else None
    assert run(project, "daily", PATH=with_path(path), TOKEN="")["state"] == "COMPLETE"
    words = calls(journal, "run")[0]["words"]
    assert [w for w in words if w in ("--user", "--userns")] == expected[:1]
    assert option(words, (expected or ["--user"])[0]) == expected[1:]


def test_failures_inside_and_of_the_engine(project, path: Path) -> None:
    write(project)
    put_client(path)
    answer = run(project, "failing", expect=1, PATH=with_path(path))
    assert answer["nodes"]["fails"]["failure"] == "EXCEPTION"
    assert "ValueError: not in here" in answer["nodes"]["fails"]["message"]
    answer = run(project, "absent", expect=1, PATH=with_path(path))
    assert answer["nodes"]["fails"]["failure"] == "ENVIRONMENT"
    assert "no registry here" in answer["nodes"]["fails"]["message"]
    put_client(path, broken=True)
    answer = run(project, "failing", expect=1, PATH=with_path(path))
    assert answer["nodes"]["fails"]["failure"] == "ENVIRONMENT"
    assert "nothing works" in answer["nodes"]["fails"]["message"]


def test_the_container_of_a_killed_runner_is_removed_by_its_name(project, path: Path) -> None:
    """Nobody else would: the supervisor outlives the runner by a moment, and an engine may not notice."""
    write(project)
    journal = put_client(path)
    process = project.start("run", "pipeline.py:hanging", PATH=with_path(path))
    _until((project.folder / "started").exists)
    process.kill()
    process.communicate(timeout=60)
    _until(lambda: calls(journal, "rm"))
    (ran,), (removed,) = (calls(journal, verb) for verb in ("run", "rm"))
    assert removed["words"] == ["rm", "--force", *option(ran["words"], "--name")]


def test_without_an_engine_the_error_says_what_was_asked(project, path: Path) -> None:
    write(project)
    put_client(path, "docker", info="")
    put_client(path, "podman", info="")
    answer = run(project, "failing", expect=1, PATH=with_path(path))
    assert answer["nodes"]["fails"]["failure"] == "RESOLUTION"
    message = answer["nodes"]["fails"]["message"]
    assert "no container engine answers (docker: " in message
    assert "install docker or podman" in message
    answer = run(project, "failing", expect=1, PATH=with_path(path), TIDEMILL_CONTAINER_ENGINE="nerdctl")
    assert "nerdctl: not installed" in answer["nodes"]["fails"]["message"]


# --- with a real engine ---------------------------------------------------------------------------


@cache
def _engine() -> str:
    """The first client that an engine answers, as the runtime chooses; empty without one."""
    for name in ("docker", "podman"):
        client = shutil.which(name)
        if client and subprocess.run([client, "version"], capture_output=True, timeout=60).returncode == 0:
            return client
    return ""


def _asked(*words: str) -> str:
    if not _engine():
        return ""
    done = subprocess.run([_engine(), *words], capture_output=True, text=True, check=False, timeout=60)
    return done.stdout.strip() if done.returncode == 0 else ""


@pytest.fixture(scope="session")
def image() -> str:
    """A local image with Python; named by TIDEMILL_TEST_IMAGE, else the first that has one."""
    listed = _asked("images", "--format", "{{.Repository}}:{{.Tag}}").split()
    for name in [os.environ["TIDEMILL_TEST_IMAGE"]] if "TIDEMILL_TEST_IMAGE" in os.environ else listed:
        check = "import sys; print(sys.version_info >= (3, 11))"
        if _asked("run", "--rm", "--pull=never", "--entrypoint", "python3", name, "-c", check) == "True":
            return name
    why = "no local image has Python 3.11 or newer (name one in TIDEMILL_TEST_IMAGE)"
    pytest.skip(why if _engine() else "no container engine answers")


def ours() -> set[str]:
    return {n for n in _asked("ps", "--all", "--format", "{{.Names}}").split() if n.startswith("tidemill-")}


def test_a_node_runs_in_a_real_container(project, sound, image: str) -> None:
    write(project)
    before = ours()
    answer = run(project, "daily", TEST_IMAGE=image, TOKEN="s3cret", OTHER="x")
    assert answer["state"] == "COMPLETE", answer
    assert ours() <= before, "nothing is left of a container that ended well"
    value = json.loads(Path(project.query("SELECT uri FROM Artifact")[0][0], "value.json").read_text())
    assert (value["secret"], value["other"], value["rows"]) == ("s3cret", None, "a\n1\n")
    assert value["uid"] == os.getuid()
    assert project.states(run(project, "daily", TEST_IMAGE=image, TOKEN="other")) == {"inside": "CACHED"}
    assert "hello from" in project.tidemill("logs", answer["run"], "inside").stdout
    failed = run(project, "hungry", expect=1, TEST_IMAGE=image)
    assert failed["nodes"]["eats"]["failure"] == "KILLED"
    sound(project)


def test_nothing_is_left_of_a_container_that_was_stopped(project, sound, image: str) -> None:
    write(project)
    before = ours()
    answer = run(project, "late", expect=1, TEST_IMAGE=image)
    assert answer["nodes"]["hangs"]["failure"] == "TIMEOUT"
    for words, end in ((("stubborn=false",), "TERM"), (("stubborn=true",), "KILL")):
        (project.folder / "started").unlink(missing_ok=True)
        process = project.start("run", "pipeline.py:hanging", "--new", "-p", *words, TEST_IMAGE=image)
        _until((project.folder / "started").exists)
        process.send_signal(9 if end == "KILL" else 15)
        process.communicate(timeout=60)
        _until(lambda: ours() <= before)
    sound(project)


def _until(holds) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
