"""What `tidemill compile --to airflow` writes for the pipelines in `pipelines/`; it needs no Airflow."""

from __future__ import annotations

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from tidemill.dsl.compile import compile_pipeline
from tidemill.dsl.load import load_pipeline
from tidemill.errors import DefinitionError
from tidemill.ir import codec
from tidemill.ir.model import LoopIR, NodeIR, ParameterIR, PipelineIR, ScheduleIR
from tidemill.runners.airflow.files import check, dag_files
from tidemill.runners.base.task import read_ir

HERE = Path(__file__).parent
GIVEN = {"metadata": "airflow://records", "root": "artifacts", "code_root": "../pipelines", "workdir": "data"}


def compiled(name: str) -> PipelineIR:
    return compile_pipeline(load_pipeline(str(HERE / "pipelines" / f"{name}.py"))[0])


@pytest.mark.parametrize(("name", "given"), [("linear", {}), ("scheduled", GIVEN)])
def test_the_dag_file_is_the_golden_one(name: str, given: dict[str, str], update_goldens: bool) -> None:
    files = dag_files(compiled(name), **given)
    ir = compiled(name)
    assert [*files] == [f"{ir.name}_dag.py", f"{ir.name}.json"]
    text, document = files.values()
    golden = HERE / "airflow" / f"{name}_dag.py.txt"
    if update_goldens:
        golden.write_text(text, encoding="utf-8")
    assert golden.read_text(encoding="utf-8") == text
    assert codec.loads(document) == ir
    assert files == dag_files(compiled(name), **given), "the same bytes for the same pipeline"


@pytest.mark.parametrize("path", sorted((HERE / "pipelines").glob("*.py")), ids=lambda p: p.stem)
def test_every_pipeline_can_be_written(path: Path, tmp_path: Path) -> None:
    ir = compiled(path.stem)
    for name, text in dag_files(ir).items():
        (tmp_path / name).write_text(text, encoding="utf-8")
        assert str(HERE) not in text, "nothing of this machine"
    compile((tmp_path / f"{ir.name}_dag.py").read_text(encoding="utf-8"), "dag", "exec")
    assert read_ir(tmp_path / f"{ir.name}.json") == ir


def test_the_command_writes_files_that_know_only_relative_paths(tmp_path: Path) -> None:
    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "tidemill.cli.main", "compile", *words]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    source = (HERE / "pipelines" / "linear.py").read_text(encoding="utf-8")
    (tmp_path / "code").mkdir()
    (tmp_path / "code" / "linear.py").write_text(source, encoding="utf-8")
    done = run(
        "code/linear.py", "--to", "airflow", "--output", "dags/mine", "--metadata", "airflow://records"
    )
    assert done.returncode == 0, done.stderr
    (file,) = (tmp_path / "dags" / "mine").glob("*_dag.py")
    text = file.read_text(encoding="utf-8")
    assert 'code_root=HERE / "../../code"' in text
    assert 'metadata="airflow://records"' in text
    assert str(tmp_path) not in text + file.with_name("linear.json").read_text(encoding="utf-8")
    for words, why in (
        (("--to", "airflow"), "--output DIR"),
        (("--to", "airflow", "-o", "code/linear.py"), "needs a folder"),
        (("--code-root", "x"), "--code-root is for --to airflow"),
        (("--options", "x.toml"), "--options is for --to airflow"),
        (("--to", "airflow", "-o", "y", "--options", "x.toml"), "the options cannot be read"),
        (("--to", "airflow", "-o", "code/linear.py/x"), "cannot be written"),
        (("-o", "code/linear.py/x"), "cannot be written"),
    ):
        refused = run("code/linear.py", *words)
        assert refused.returncode == 2
        assert why in refused.stderr


def test_a_password_never_stands_in_a_dag_file() -> None:
    with pytest.raises(DefinitionError, match="password"):
        dag_files(compiled("linear"), metadata="postgresql://user:secret@host/db")


def test_the_room_needs_no_airflow() -> None:
    code = "import sys, tidemill.runners.airflow; sys.exit('airflow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_what_airflow_cannot_take_is_said_at_once() -> None:
    node = NodeIR(id="items--iterations", component="c", executor="")
    loop = NodeIR(id="items", component="c", executor="", kind="loop", loop=LoopIR(limit=5000))
    wrong = PipelineIR(
        name="wrong",
        nodes=(loop, node, dataclasses.replace(node, id="run--end")),
        parameters=(
            ParameterIR(name="tidemill_date", type="str", default=""),
            ParameterIR(name="needed", type="int", required=True),
        ),
        schedule=ScheduleIR(cron="@daily"),
    )
    with pytest.raises(DefinitionError) as error:
        check(wrong)
    assert [p.where for p in error.value.problems] == [
        "wrong",
        "wrong",
        "items",
        *(n.id for n in wrong.nodes[1:]),
    ]
    assert all(p.hint for p in error.value.problems)
