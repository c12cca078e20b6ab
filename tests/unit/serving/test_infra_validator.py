"""InfraValidator: a real server is started and asked, the verdict always written, nothing left behind."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tidemill.components.infra_validator import executor
from tidemill.components.infra_validator.asking import compare
from tidemill.components.infra_validator.executor import run
from tidemill.components.infra_validator.launching import Surroundings, started
from tidemill.errors import DataError, PermanentError, ValidationFailed
from tidemill.serving.hosting import WARMUP, open_version
from tidemill.storage.manifest import seal
from tidemill.types.standard import Examples, InfraBlessing, Model

Validate = Callable[..., tuple[InfraBlessing, Path]]


@pytest.fixture
def validate(examples: Examples, model: Model, tmp_path: Path) -> Validate:
    made: list[int] = []

    def work(**parameters: Any) -> tuple[InfraBlessing, Path]:
        made.append(len(made))
        blessing = InfraBlessing(path=tmp_path / f"blessing-{made[-1]}")
        warm = Model(path=tmp_path / f"warm-{made[-1]}")
        blessing.path.mkdir()
        warm.path.mkdir()
        given = {"examples": examples, "model": model, "num_examples": 5, "num_tries": 1, **parameters}
        run(blessing=blessing, model_with_warmup=warm, **given)
        return blessing, warm.path

    return work


def verdict(blessing: InfraBlessing) -> dict[str, Any]:
    found = json.loads((blessing.path / "blessing.json").read_text())
    assert bool(blessing.blessed) == found["blessed"] == (not found["reasons"])
    return dict(found)


def test_a_good_model_is_blessed_and_measured(validate: Validate, model: Model) -> None:
    blessing, warm = validate(max_memory="4Gi", max_latency=30.0)
    assert verdict(blessing)["checks"] == ["loaded", "answered 5 rows as the model does"]
    figures = blessing.custom_properties
    assert figures["max_difference"] == 0.0
    assert 0 < float(figures["latency_p50_ms"]) <= float(figures["latency_p99_ms"])
    assert float(figures["memory_bytes"]) > 2**20
    assert float(figures["load_seconds"]) > 0
    assert open_version(warm, "1", "").model.signature.inputs
    lines = (warm / WARMUP).read_text().splitlines()
    assert len(lines) == 5
    assert "company" in json.loads(lines[0])["instances"][0]
    (warm / WARMUP).unlink()
    assert seal(warm).digest == model.digest


def test_loading_alone(validate: Validate) -> None:
    blessing, warm = validate(examples=None)
    assert verdict(blessing)["checks"] == ["loaded"]
    assert not (warm / WARMUP).exists()


def test_a_model_that_cannot_be_loaded(validate: Validate, model: Model) -> None:
    (model.path / "model.txt").write_text("tree\n")
    blessing, warm = validate()
    assert "sha256 differs" in verdict(blessing)["reasons"][0]
    assert "sha256 differs" in str(blessing.reason)
    assert not (warm / WARMUP).exists()
    with pytest.raises(ValidationFailed, match="not blessed for serving"):
        validate(fail=True)


def test_a_server_that_dies_and_its_log(
    validate: Validate, model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The model is damaged after it was loaded here and before the server reads it."""
    original = executor.load_model

    def load(folder: Path) -> Any:
        loaded = original(folder)
        (folder / "model.txt").write_text("tree\n")
        return loaded

    monkeypatch.setattr(executor, "load_model", load)
    blessing, _ = validate()
    reason = verdict(blessing)["reasons"][0]
    assert "ended with status 1 while it loaded the model" in reason
    assert "damaged" in (blessing.path / "server.log").read_text()


def test_too_different_too_slow_too_large(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    original = executor.load_model

    def load(folder: Path) -> Any:
        loaded = original(folder)
        predict = loaded.predict_rows
        monkeypatch.setattr(
            loaded, "predict_rows", lambda rows: {n: v + 0.001 for n, v in predict(rows).items()}
        )
        return loaded

    monkeypatch.setattr(executor, "load_model", load)
    blessing, warm = validate(max_latency=1e-9, max_memory="1Mi")
    different, slow, large = verdict(blessing)["reasons"]
    assert "0.001 away from what the model says" in different
    assert "requests took up to" in slow
    assert "1 MiB are allowed" in large
    assert not (warm / WARMUP).exists()


def test_no_time_to_load(validate: Validate) -> None:
    blessing, _ = validate(max_loading_time=0.001, num_tries=2)
    assert verdict(blessing)["reasons"] == ["the server did not open its port in time (2 tries)"]


def test_comparing() -> None:
    one = {"a": np.array([1.0, np.nan])}
    assert compare({"a": np.array([1.0, np.nan])}, one, 1e-9) == (0.0, "")
    assert "has the shape" in compare({"a": np.array([1.0])}, one, 1e-9)[1]
    assert "answers with" in compare({"b": one["a"]}, one, 1e-9)[1]
    assert "away" in compare({"a": np.array([1.0, 0.0])}, one, 1e-9)[1]
    texts = {"a": np.array(["x"], dtype=object)}
    assert "differs" in compare({"a": np.array(["y"], dtype=object)}, texts, 1e-9)[1]


@pytest.mark.parametrize(
    ("parameters", "error", "message"),
    [
        ({"splits": ["evil"]}, DataError, "no split 'evil'"),
        ({"num_examples": 0}, DataError, "1 or more"),
        ({"max_memory": "much"}, DataError, "is no size"),
        ({"env_from": ["NOT_SET_ANYWHERE"]}, PermanentError, "NOT_SET_ANYWHERE is not set"),
    ],
)
def test_mistakes(
    validate: Validate, parameters: dict[str, Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        validate(**parameters)


def test_examples_without_a_column(validate: Validate, examples: Examples, make_rows: Any) -> None:
    from tidemill.data.parquet import split_folder, write_split

    table = make_rows(3).rename_columns(["id", "fare", "miles", "hour", "compani", "cash", "start", "label"])
    write_split(split_folder(examples.path, "bad"), table.schema, [table])
    examples.splits = ["bad"]
    with pytest.raises(DataError, match="no column 'company'") as raised:
        validate()
    assert "did you mean 'compani'" in raised.value.hint


def test_a_killed_validator_leaves_no_server(model: Model, tmp_path: Path) -> None:
    program = f"""
        import os, signal, sys, time
        from pathlib import Path
        from tidemill.components.infra_validator.launching import Surroundings, started
        with started(Path({str(model.path)!r}), Surroundings(), Path({str(tmp_path / "log")!r}),
                     time.monotonic() + 60) as running:
            print(running.process.pid, flush=True)
            signal.pause()
    """
    parent = subprocess.Popen([sys.executable, "-c", textwrap.dedent(program)], stdout=subprocess.PIPE)
    assert parent.stdout is not None
    with parent.stdout:
        server = int(parent.stdout.readline())
        watched = os.pidfd_open(server)
        try:
            parent.send_signal(signal.SIGKILL)
            parent.wait()
            assert select.select([watched], [], [], 30)[0], "the server still runs"
        finally:
            os.close(watched)


ENGINE = """#!{python}
import os, subprocess, sys
words = sys.argv[1:]
with open({log!r}, "a") as file:
    file.write(" ".join(words) + "\\n")
if words[0] == "rm":
    sys.exit()
if words[0] == "port":
    print(open({port!r}).read())
    sys.exit()
model = next(w for w in words if w.startswith("type=bind")).split('source=')[1].split(',')[0].strip('"')
command = [sys.executable, "-m", "tidemill.serving", model, "--name", "model", "--with-stdin"]
process = subprocess.Popen(command, stdout=subprocess.PIPE)
line = process.stdout.readline()
import json
open({port!r}, "w").write(json.loads(line)["address"].removeprefix("http://"))
sys.stdout.buffer.write(line)
sys.stdout.flush()
sys.exit(process.wait())
"""


def test_a_container_by_its_command_line(
    validate: Validate, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The engine's client is imitated: what it is told is what docker and podman understand."""
    engine = tmp_path / "engine"
    log, port = str(tmp_path / "said"), str(tmp_path / "port")
    engine.write_text(ENGINE.format(python=sys.executable, log=log, port=port))
    engine.chmod(0o755)
    monkeypatch.setenv("TIDEMILL_CONTAINER_ENGINE", str(engine))
    monkeypatch.setenv("API_KEY", "hidden")
    blessing, warm = validate(
        image="serving:1", cpu=0.5, memory="2Gi", env={"LEVEL": "info"}, env_from=["API_KEY"]
    )
    assert verdict(blessing)["blessed"]
    again, warm_again = validate(image="serving:1")
    assert seal(blessing.path).digest == seal(again.path).digest, "what was measured is in no file"
    assert seal(warm).digest == seal(warm_again).digest
    started_with, asked, removed, *_ = Path(log).read_text().splitlines()
    assert started_with.startswith("run --rm --interactive --name tidemill-infra-")
    for part in (
        "--publish 127.0.0.1::8080",
        f'source={model.path}"',
        "readonly",
        "--cpus 0.5 --memory 2g",
        "--env LEVEL --env API_KEY",
        "serving:1 -m tidemill.serving /mnt/models",
    ):
        assert part in started_with
    assert "hidden" not in started_with
    assert asked.startswith("port tidemill-infra-")
    assert removed.startswith("rm --force tidemill-infra-")


def test_no_engine(validate: Validate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIDEMILL_CONTAINER_ENGINE", "no-such-engine")
    with pytest.raises(PermanentError, match="no container engine"):
        validate(image="serving:1")


def test_something_else_than_a_server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import time

    from tidemill.components.infra_validator.launching import NotServing

    engine = tmp_path / "engine"
    engine.write_text("#!/bin/sh\necho hello\n")
    engine.chmod(0o755)
    monkeypatch.setenv("TIDEMILL_CONTAINER_ENGINE", str(engine))
    where = Surroundings(image="x")
    with (
        pytest.raises(NotServing, match="no tidemill server: it said 'hello'"),
        started(tmp_path, where, tmp_path / "log", time.monotonic() + 30),
    ):
        raise AssertionError
