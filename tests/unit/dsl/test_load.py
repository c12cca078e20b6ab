"""Finding the pipeline in a user's file, and saying plainly when that is impossible."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import DefinitionError
from tidemill.ir import codec

HEAD = "from tidemill import Pipeline, component, pipeline\n\n@component\ndef work(): ...\n\n"


@pytest.fixture
def name_of(module: Callable[[str, str], Path]) -> Callable[..., str]:
    """The name of the pipeline that the loader finds in a file of this text."""

    def load(text: str, name: str = "") -> str:
        path = module("flow.py", HEAD + text)
        return load_pipeline(f"{path}:{name}" if name else str(path))[0].name

    return load


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("anything = Pipeline('x', nodes=[work()])", "x"),
        ("@pipeline\ndef daily(): work()", "daily"),
        ("a = Pipeline('x', nodes=[work()])\nb = a", "x"),
        ("a = Pipeline('a', nodes=[work()])\npipeline = Pipeline('b', nodes=[a])", "b"),
        ("def create_pipeline(): return Pipeline('made', nodes=[work()])", "made"),
    ],
)
def test_the_one_pipeline_of_a_file_is_found(name_of: Callable[..., str], text: str, name: str) -> None:
    assert name_of(text) == name


def test_one_of_several_can_be_chosen_by_name(name_of: Callable[..., str]) -> None:
    assert name_of("a = Pipeline('x', nodes=[work()])\nb = Pipeline('y', nodes=[work()])", "b") == "y"


WRONG = {
    "none": (
        "x = 1",
        "flow.py defines no pipeline",
        "decorate a function with @pipeline, or assign Pipeline(...), or define create_pipeline()",
    ),
    "several": (
        "a = Pipeline('x', nodes=[work()])\nb = Pipeline('y', nodes=[work()])",
        "flow.py defines several pipelines: a, b",
        "choose one: flow.py:NAME, or call one of them `pipeline`",
    ),
    "a factory that makes something else": (
        "def create_pipeline(): return 3",
        "flow.py defines no pipeline",
        "decorate a function with @pipeline, or assign Pipeline(...), or define create_pipeline()",
    ),
}


@pytest.mark.parametrize(("text", "message", "hint"), WRONG.values(), ids=WRONG)
def test_a_file_without_a_clear_answer(
    name_of: Callable[..., str], text: str, message: str, hint: str
) -> None:
    with pytest.raises(DefinitionError) as caught:
        name_of(text)
    assert (caught.value.message, caught.value.hint) == (message, hint)
    assert caught.value.where.endswith("flow.py")


def test_an_unknown_name(name_of: Callable[..., str]) -> None:
    with pytest.raises(DefinitionError) as caught:
        name_of("daily = Pipeline('x', nodes=[work()])", "dayly")
    assert caught.value.message == "flow.py has no pipeline 'dayly'"
    assert caught.value.hint == "did you mean 'daily'?"


def test_a_file_that_is_not_there(module: Callable[[str, str], Path]) -> None:
    path = module("pipeline.py", HEAD)
    target = str(path.with_name("pipelin.py"))
    with pytest.raises(DefinitionError) as caught:
        load_pipeline(target)
    assert caught.value.message == f"there is no pipeline file {target!r}"
    assert caught.value.hint == "did you mean 'pipeline.py'?"


BROKEN = {
    "syntax": ("def broken(:", "flow.py cannot be imported: SyntaxError: invalid syntax", 6),
    "import": ("import nowhere_at_all", "flow.py cannot be imported: ModuleNotFoundError: No module", 6),
    "in a function": ("def f():\n    return 1 / 0\nf()", "flow.py cannot be imported: ZeroDivisionError:", 7),
    "in a factory": (
        "def create_pipeline():\n    return {}['x']",
        "flow.py cannot be compiled: KeyError: 'x'",
        7,
    ),
    "called wrongly in tidemill": (
        "a = Pipeline('x', nodse=[])", "flow.py cannot be imported: TypeError: Pipeline.__init__()", 6
    ),
}  # fmt: skip


@pytest.mark.parametrize(("text", "message", "line"), BROKEN.values(), ids=BROKEN)
def test_code_that_fails_while_it_is_read(
    name_of: Callable[..., str], tmp_path: Path, text: str, message: str, line: int
) -> None:
    with pytest.raises(DefinitionError) as caught:
        name_of(text)
    assert caught.value.message.startswith(message)
    assert caught.value.where == f"{tmp_path}/flow.py:{line}"


def test_the_place_is_in_the_users_code_even_if_a_library_raises(
    module: Callable[[str, str], Path], tmp_path: Path
) -> None:
    module("mine.py", "import json\n\ndef read():\n    return json.loads('{')\n")
    path = module("flow.py", "import mine\n\nmine.read()\n")
    with pytest.raises(DefinitionError, match="cannot be imported: JSONDecodeError") as caught:
        load_pipeline(str(path))
    assert caught.value.where == f"{tmp_path}/mine.py:4"


def test_modules_of_a_package_are_imported_as_such(
    module: Callable[[str, str], Path], tmp_path: Path
) -> None:
    module("acme/__init__.py", "")
    module("acme/flows/__init__.py", "")
    module("acme/flows/steps.py", HEAD)
    path = module(
        "acme/flows/daily.py",
        "from acme.flows.steps import Pipeline, work\nx = Pipeline('x', nodes=[work()])\n",
    )
    found, root = load_pipeline(str(path))
    assert root == tmp_path
    assert compile_pipeline(found).nodes[0].executor == "acme.flows.steps:work"


def test_a_file_with_the_name_of_another_module(module: Callable[[str, str], Path]) -> None:
    path = module("json.py", HEAD)
    with pytest.raises(DefinitionError) as caught:
        load_pipeline(str(path))
    assert caught.value.hint == "rename json.py: another module is already called 'json'"


# --- as a process ---------------------------------------------------------------------------------


def answer(path: Path, out: Path) -> Any:
    command = [sys.executable, "-m", "tidemill.dsl.load", str(path), str(out)]
    done = subprocess.run(command, check=True, capture_output=True, timeout=60, env={**os.environ})
    assert done.stderr == b""
    return json.loads(out.read_text(encoding="utf-8"))


def test_the_process_answers_with_the_ir(module: Callable[[str, str], Path], tmp_path: Path) -> None:
    path = module("flow.py", HEAD + "x = Pipeline('x', nodes=[work()], description='ø\\n')\n")
    got = answer(path, tmp_path / "out.json")
    assert got["code_root"] == str(tmp_path)
    assert codec.decode(got["ir"]) == compile_pipeline(load_pipeline(str(path))[0])


def test_the_process_answers_with_the_problems(module: Callable[[str, str], Path], tmp_path: Path) -> None:
    text = "@pipeline\ndef x():\n    work(1)\n    work().with_id('a b')\n"
    path = module("flow.py", HEAD + text)
    got = answer(path, tmp_path / "out.json")
    assert got["error"] == "pipeline 'x': 2 problems"
    assert [problem["where"] for problem in got["problems"]] == [f"{path}:8", f"{path}:9"]
    assert got["problems"][1]["what"] == "bad node name 'a b'"


def test_the_process_answers_when_the_pipeline_function_fails(
    module: Callable[[str, str], Path], tmp_path: Path
) -> None:
    path = module("flow.py", HEAD + "@pipeline\ndef x():\n    work()\n    1 / 0\n")
    got = answer(path, tmp_path / "out.json")
    assert got["error"] == "flow.py cannot be compiled: ZeroDivisionError: division by zero"
    assert [problem["where"] for problem in got["problems"]] == [f"{path}:9"]
