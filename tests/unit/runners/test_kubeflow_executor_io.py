"""KFP's contract: what is read strictly, what is written strictly, and where things lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tidemill.errors import RunnerError
from tidemill.runners.kubeflow.executor_io import ExecutorInput, ExecutorOutput, OutputSlot, local_path, parse
from tidemill.testing.kubeflow.launcher import LauncherFailed, read_output

MODEL = {"schemaTitle": "tidemill.Model", "schemaVersion": "0.0.1"}


def message(**outputs: Any) -> str:
    return json.dumps({
        "inputs": {"parameterValues": {"steps": 100.0, "name": "x"}},
        "outputs": {
            "artifacts": {
                "model": {"artifacts": [{"name": "model", "uri": "s3://b/p/r/t/model", "type": MODEL}]},
                "executor-logs": {"artifacts": [{"uri": "s3://b/p/r/t/executor-logs"}]},
            },
            "parameters": {"items": {"outputFile": "/kfp/outputs/items"}},
            "outputFile": "/s3/b/p/r/t/output_metadata.json",
            **outputs,
        },
        "somethingNew": 1,
    })  # fmt: skip


def test_a_message_of_the_server_is_read() -> None:
    found = parse(message())
    assert found.parameters == {"steps": 100.0, "name": "x"}
    assert found.output_file == Path("/s3/b/p/r/t/output_metadata.json")
    assert found.parameter_files == {"items": Path("/kfp/outputs/items")}
    assert [*found.slots] == ["model"], "the logs are the launcher's own"
    slot = found.slots["model"]
    assert (slot.type, slot.path) == ("tidemill.Model", Path("/s3/b/p/r/t/model"))


def test_empty_maps_are_absent() -> None:
    assert parse('{"inputs": {}, "outputs": {}}') == ExecutorInput()
    assert parse("{}") == ExecutorInput()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{{$}}", "not JSON"),
        ("[]", "the executor input should be an object"),
        ('{"inputs": []}', "inputs should be an object, and is []"),
        (
            '{"inputs": {"artifacts": {"a": {"artifacts": 1}}}}',
            "inputs.artifacts.a.artifacts should be a list",
        ),
        ('{"outputs": {"outputFile": 1}}', "outputs.outputFile should be a text"),
        ('{"outputs": {"parameters": {"p": {}}}}', "p.outputFile should be a text"),
        ('{"outputs": {"artifacts": {"m": {"artifacts": []}}}}', "outputs.artifacts.m lists no artifact"),
        ('{"outputs": {"artifacts": {"m": {"artifacts": [{"uri": ""}]}}}}', "has no outputs.artifacts.m.uri"),
    ],
)
def test_what_is_not_as_kfp_has_it_is_refused_with_its_place(text: str, said: str) -> None:
    with pytest.raises(RunnerError) as caught:
        parse(text)
    assert said in str(caught.value)
    assert caught.value.hint


def test_a_custom_path_goes_before_the_usual_place() -> None:
    artifacts = {"m": {"artifacts": [{"uri": "s3://b/m", "customPath": "/here"}]}}
    assert parse(message(artifacts=artifacts)).slots["m"].path == Path("/here")


@pytest.mark.parametrize(
    ("uri", "path"),
    [
        ("gs://b/k", "/gcs/b/k"), ("s3://b/k", "/s3/b/k"), ("minio://b/k", "/minio/b/k"),
        ("/kfp/local/k", "/kfp/local/k"), ("./kfp/k", "kfp/k"), ("oci://image", None), ("file:///k", None),
    ],
)  # fmt: skip
def test_where_the_files_of_a_uri_lie(uri: str, path: str | None) -> None:
    assert local_path(uri) == (None if path is None else Path(path))


def test_what_is_written_is_what_kfp_reads(tmp_path: Path) -> None:
    given = parse(message(outputFile=str(tmp_path / "deep" / "out.json")))
    output = ExecutorOutput(parameters={"items": [1, 2]})
    odd = {"n": float("nan"), "inf": float("inf"), "none": None, "list": [1]}
    output.add(given.slots["model"], {"span": 3, "loss": 0.5, "name": "y", "ok": True, **odd})
    output.write(given)
    found = read_output((tmp_path / "deep" / "out.json").read_text(encoding="utf-8"))
    kept = {"span": 3, "loss": 0.5, "name": "y", "ok": True}
    assert found == {
        "parameterValues": {"items": [1, 2]},
        "artifacts": {
            "model": {"artifacts": [{"name": "model", "uri": "s3://b/p/r/t/model", "metadata": kept}]}
        },
    }
    assert [p.name for p in (tmp_path / "deep").iterdir()] == ["out.json"]


def test_an_output_that_kfp_did_not_ask_for_is_ours_to_find() -> None:
    given = parse(message())
    with pytest.raises(RunnerError, match="did not ask for the output parameter 'other'"):
        ExecutorOutput(parameters={"other": 1}).write(given)
    output = ExecutorOutput()
    output.add(OutputSlot(name="other", type="", uri="s3://b/o", path=None), {})
    with pytest.raises(RunnerError, match="did not ask for the output artifact 'other'"):
        output.write(given)


def test_a_file_that_cannot_be_written_is_one_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(RunnerError, match="cannot be written"):
        ExecutorOutput().write(parse(message(outputFile=str(tmp_path / "file" / "out.json"))))


@pytest.mark.parametrize(
    "text",
    [
        '{"parameterValues": {"a": 1}, "more": 1}', '{"artifacts": {"a": {"artifact": []}}}',
        '{"artifacts": {"a": {"artifacts": [{"path": "x"}]}}}', '{"parameterValues": {"a": NaN}}',
        '{"parameterValues": {"a": 1, "a": 2}}', "not JSON",
    ],
)  # fmt: skip
def test_the_emulator_is_as_strict_as_the_launcher(text: str) -> None:
    with pytest.raises(LauncherFailed, match="failed to unmarshall ExecutorOutput"):
        read_output(text)
