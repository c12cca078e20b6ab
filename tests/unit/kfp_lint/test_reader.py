"""Files as KFP's server reads them: YAML 1.2, several documents, JSON, lines; and the command on top."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from good_kfp import documents, minimal

from tidemill.errors import DefinitionError
from tidemill.runners.kubeflow.lint import lint_text, reader


def value(text: str) -> Any:
    return reader.read(text, "x.yaml").documents[0]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("yes", "yes"), ("on", "on"), ("true", True), ("2024-01-01", "2024-01-01"), ("1e3", 1000.0),
            ("0o17", 15),
        ("0x1F", 31), ("-3", -3), ("~", None), ("", None), ("'1'", "1"), ('"true"', "true"), ("1_000",
            "1_000"),
        (".5", 0.5), ("1:30", "1:30"), ("|\n  5\n", "5\n"), ("null", None), ("=", "="), ("+.inf",
            float("inf")),
    ],
)  # fmt: skip
def test_scalars_are_those_of_yaml_1_2(text: str, wanted: Any) -> None:
    assert value(f"a: {text}\n") == {"a": wanted}


def test_anchors_and_merges() -> None:
    assert value("a: &x {b: 1, c: 2}\nd: *x\ne: {<<: *x, c: 3}\nf: {<<: [*x, {g: 4}]}\n") == {
        "a": {"b": 1, "c": 2}, "d": {"b": 1, "c": 2}, "e": {"b": 1, "c": 3}, "f": {"b": 1, "c": 2, "g": 4},
    }  # fmt: skip


def test_lines_count_through_all_documents() -> None:
    source = reader.read("a: 1\nb:\n- x\n- y: 2\n---\nc: 3\n", "x.yaml")
    assert source.documents == [{"a": 1, "b": ["x", {"y": 2}]}, {"c": 3}]
    assert source.line(0, ("b", 1, "y")) == 4
    assert source.line(0, ("b", 1, "unknown", "below")) == 4
    assert source.line(1, ("c",)) == 6


def test_a_file_that_was_written_out_is_good_and_lines_are_those_of_the_text() -> None:
    text = yaml.safe_dump_all(documents())
    assert lint_text(text, "x.yaml") == []
    assert lint_text(json.dumps(minimal()), "x.json") == []
    assert lint_text(json.dumps(minimal(), indent="\t"), "tabs.json") == []
    bad = text.replace("imagePullPolicy: IfNotPresent", "imagePullPolicy: Sometimes")
    (finding,) = lint_text(bad, "x.yaml")
    assert bad.splitlines()[finding.line - 1].strip() == "imagePullPolicy: Sometimes"


def test_a_key_that_stands_twice() -> None:
    text = json.dumps(minimal())[:-1] + ', "sdkVersion": "a", "sdkVersion": "b"}'
    (finding,) = lint_text(text, "x.json")
    assert (finding.rule.id, finding.where, finding.line) == ("duplicate-key", "sdkVersion", 1)


def test_a_file_that_is_too_large() -> None:
    text = "# " + "x" * reader.LARGEST + "\n" + json.dumps(minimal())
    assert [f.rule.id for f in lint_text(text, "x.yaml")] == ["file-too-large"]


@pytest.mark.parametrize(
    "text",
    ["a: [", "a: b: c", "\t", "a: &x [*x]", "- *y", "{a: 1", "? [a]\n: 1\n", "a: \x00", "[" * 3000,
        "{" * 3000,
     ("a: &a [x,x,x,x,x,x,x,x]\nb: &b [*a,*a,*a,*a,*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b,*b,*b,*b,*b]\n"
     "d: &d [*c,*c,*c,*c,*c,*c,*c,*c]\ne: &e [*d,*d,*d,*d,*d,*d,*d,*d]\nf: &f [*e,*e,*e,*e,*e,*e,*e,*e]\n"
     "g: &g [*f,*f,*f,*f,*f,*f,*f,*f]\nh: [*g,*g,*g,*g]\n")],
)  # fmt: skip
def test_what_cannot_be_read_is_one_clear_error(text: str) -> None:
    with pytest.raises(DefinitionError) as error:
        lint_text(text, "x.yaml")
    assert error.value.where.startswith("x.yaml")


def test_without_pyyaml_json_is_read_and_yaml_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "yaml", None)
    assert lint_text(json.dumps(minimal()), "x.json") == []
    with pytest.raises(DefinitionError) as error:
        lint_text("a: 1\n", "x.yaml")
    assert "tidemill[kubeflow]" in error.value.hint
    for text in ('{"a": ', "{" * 100_000):
        with pytest.raises(DefinitionError):
            lint_text(text, "x.json")


def run(folder: Path, *arguments: str, stdin: str = "") -> tuple[int, str]:
    command = [sys.executable, "-m", "tidemill.cli.main", "lint-kfp", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False, input=stdin)
    return done.returncode, done.stdout + done.stderr


def test_the_command(tmp_path: Path) -> None:
    (tmp_path / "good.yaml").write_text(yaml.safe_dump_all(documents()))
    bad = minimal()
    bad["schemaVersion"] = "2.0.0"
    bad["deploymentSpec"]["executors"]["exec-a"]["container"]["image"] = "trainer:\x1b[2J1"
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    (tmp_path / "bytes.yaml").write_bytes(b"\xff\xfe")
    assert run(tmp_path, "good.yaml") == (0, "nothing found\n")
    code, text = run(tmp_path, "good.yaml", "bad.json")
    assert code == 1
    assert text.startswith(
        "bad.json:1: error [schema-version] schemaVersion: the schema version is '2.0.0'\n"
    )
    assert text.endswith("\n1 error, 1 warning\n")
    assert "\x1b" not in text
    code, text = run(tmp_path, "--json", "--errors-only", "bad.json")
    (finding,) = json.loads(text)
    assert (code, finding["rule"], finding["who"], finding["path"]) == (
        1, "schema-version", "API server", ["schemaVersion"],
    )  # fmt: skip
    bad["schemaVersion"] = "2.1.0"
    code, text = run(tmp_path, "-", stdin=json.dumps(bad))
    assert (code, "image-digest" in text) == (0, True)
    for name in ("bytes.yaml", "missing.yaml", "."):
        code, text = run(tmp_path, name)
        assert (code, "Traceback" in text) == (2, False), text


def test_the_command_lists_its_rules(tmp_path: Path) -> None:
    code, text = run(tmp_path, "--rules")
    assert code == 0
    assert "KFP's compiler" in text
    code, text = run(tmp_path, "--rules", "--json")
    assert {"id", "who", "text", "why", "severity"} == set(json.loads(text)[0])
    assert run(tmp_path)[0] == 2
