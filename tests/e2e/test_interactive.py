"""Runs from Python: in a plain script, and in the cells of a notebook under a real kernel."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
STEPS = """
    import os
    from tidemill import Input, JsonValue, Model, Output, component

    @component
    def fit(points: Input[JsonValue], model: Output[Model], *, start: float = 0.0) -> float:
        print("fitting in", os.getpid())
        (model.path / "line.txt").write_text(f"{points.value} {start}")
        return float(sum(points.value)) + start

    @component
    def read(model: Input[Model]) -> str:
        return (model.path / "line.txt").read_text()

    @component
    def breaks(points: Input[JsonValue]) -> None:
        raise ValueError("no <b>good</b>")
"""
SCRIPT = """
    import json, os
    from pathlib import Path
    from steps import breaks, fit, read
    from tidemill import NodeOptions, RunFailed, TidemillError, component, pipeline

    @component
    def make(count: int = 3) -> list[float]:
        return [float(i) for i in range(count)]

    @pipeline
    def lines(count: int, start: float = 0.0):
        points = make(count=count)
        fit(points=points.outputs.result, start=start)

    def main():
        BODY

    if __name__ == "__main__":
        main()
"""


def script(project, body: str, expect: int = 0) -> subprocess.CompletedProcess[str]:
    project.write("steps.py", STEPS)
    lines = body.strip("\n").splitlines()
    indent = len(lines[0]) - len(lines[0].lstrip())
    shifted = "\n".join("        " + line[indent:] for line in lines)
    project.write("script.py", SCRIPT.replace("        BODY", shifted))
    done = subprocess.run([sys.executable, "script.py"], cwd=project.folder, capture_output=True, text=True,
                          check=False, timeout=120)  # fmt: skip
    assert done.returncode == expect, done.stdout + done.stderr
    return done


def test_a_script_runs_its_pipeline_and_looks_at_what_came_of_it(project, sound) -> None:
    done = script(
        project,
        """
        result = lines.run(count=4)
        assert list(result) == ["make", "fit"] and result.state == "COMPLETE"
        model = result["fit"].outputs["model"]
        assert type(model).__name__ == "Model" and model.TYPE_NAME == "Model" and model.id
        assert (model.path / "line.txt").read_text() == "[0.0, 1.0, 2.0, 3.0] 0.0"
        assert result["fit"].outputs.result.value == 6.0
        assert f"fitting in {os.getpid()}" not in result["fit"].printed
        assert "fitting in" in result["fit"].printed
        again = lines.run({"start": 0.0}, count=4)
        assert {n.state for n in again.nodes.values()} == {"CACHED"}
        assert {n.state for n in lines.run(count=4, cache=False).nodes.values()} == {"COMPLETE"}
        lines.run(count=2, root="elsewhere")
        print(repr(result))
        """,
    )
    assert "make COMPLETE, fit COMPLETE" in done.stdout
    assert "all 2 nodes cached" in done.stdout
    assert (project.folder / "elsewhere" / "metadata.db").exists()
    listed = json.loads(project.tidemill("runs", "list", "--json").stdout)
    assert len(listed) == 3
    sound(project)


def test_single_components_take_artifacts_paths_and_values(project, sound) -> None:
    (project.folder / "model").mkdir()
    (project.folder / "model" / "line.txt").write_text("by hand")
    script(
        project,
        """
        points = make.run(count=3).outputs.result
        fitted = fit.run(points=points, start=1.0)
        assert fitted.outputs.result.value == 4.0 and fitted.run.pipeline == "fit"
        assert list(fitted.run) == ["fit"]
        assert fit.run(points=points, start=1.0).state == "CACHED"
        assert fit.run(points=[5.0], start=1.0).outputs.result.value == 6.0
        assert fit(points=[5.0]).run is not None
        assert fit(points=points, start=2.0).run(root=".tidemill").outputs.result.value == 5.0
        first = read.run(model="model")
        assert first.outputs.result.value == "by hand" and first.state == "COMPLETE"
        assert read.run(model=Path("model")).state == "CACHED"
        Path("model/line.txt").write_text("changed")
        assert read.run(model="model").outputs.result.value == "changed"
        assert read.run(model=fitted.outputs["model"]).outputs.result.value == "[0.0, 1.0, 2.0] 1.0"
        """,
    )
    assert not (project.folder / "model" / ".manifest.json").exists()
    sound(project)


def test_what_goes_wrong_is_told_and_raised_as_tidemills(project, sound) -> None:
    done = script(
        project,
        """
        def attempt(action):
            try:
                action()
            except TidemillError as error:
                print(f"<<{type(error).__name__}: {error}>>")
                return error
        failed = attempt(lambda: breaks.run(points=[1]))
        assert failed.result["breaks"].state == "FAILED"
        assert failed.result["import_points"].state == "COMPLETE"
        attempt(lambda: lines.run())
        attempt(lambda: lines.run(cuont=3))
        attempt(lambda: fit.run(points=[1], strat=3))
        attempt(lambda: read.run(model="nowhere"))
        attempt(lambda: read.run(model=make.run().outputs.result))
        attempt(lambda: read.run(model=fit.run(points=[1]).outputs.model.__class__("x")))
        attempt(lambda: make().run(rote="x"))
        elsewhere = fit(points=make(count=2).outputs.result).run(root="elsewhere").outputs.model
        attempt(lambda: read.run(model=elsewhere))
        try:
            failed.result["braeks"]
        except KeyError as error:
            print(error)
        """,
    )
    out = done.stdout
    assert "<<RunFailed: run breaks-" in out
    assert '  |     raise ValueError("no <b>good</b>")' in out
    assert "<<RunnerError: runtime parameter 'count' has no value\n  fix  write run(count=...)>>" in out
    assert "did you mean 'count'?" in out
    assert "did you mean 'start'?" in out
    assert "there is nothing at" in out
    assert "input 'model' takes Model, got the JsonValue" in out
    assert "got one that no record has" in out
    assert "did you mean 'root'?" in out
    assert "is not in this record" in out
    assert "did you mean 'breaks'?" in out
    assert "Traceback" not in done.stderr
    sound(project)


def test_a_script_without_a_guard_is_told_so_instead_of_running_for_ever(project) -> None:
    project.write("steps.py", STEPS)
    project.write(
        "script.py",
        """
        from tidemill import component, pipeline

        @component
        def one() -> int:
            return 1

        @pipeline
        def ones():
            one()

        ones.run()
        """,
    )
    done = subprocess.run([sys.executable, "script.py"], cwd=project.folder, capture_output=True, text=True,
                          check=False, timeout=60)  # fmt: skip
    assert done.returncode == 1
    assert "__main__" in done.stdout
    done = project.tidemill("run", "script.py", expect=2)
    assert "while its file was being imported" in done.stderr


def test_ctrl_c_cancels_the_run_of_a_script(project, sound) -> None:
    project.write(
        "script.py",
        """
        import sys, time
        from pathlib import Path
        from tidemill import RunFailed, component, pipeline

        @component
        def hang() -> None:
            Path("started").touch()
            while True:
                time.sleep(0.01)

        @pipeline
        def hanging():
            hang().with_options(isolation=sys.argv[1])

        if __name__ == "__main__":
            try:
                hanging.run()
            except RunFailed as error:
                sys.exit(f"{error}; {error.result['hang'].state}")
        """,
    )
    for isolation in ("process", "none"):
        (project.folder / "started").unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "script.py", isolation], cwd=project.folder, text=True,
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
        _until((project.folder / "started").exists)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
        assert "was canceled; CANCELED" in err, out + err
    sound(project)


# --- notebooks ------------------------------------------------------------------------------------

EXECUTE = """
import json, sys, warnings
import nbformat
from nbclient import NotebookClient
notebook = nbformat.read(sys.argv[1], as_version=4)
folder = {"metadata": {"path": sys.argv[2]}}
NotebookClient(notebook, timeout=120, allow_errors=True, resources=folder).execute()
print(json.dumps([cell.get("outputs", []) for cell in notebook.cells if cell.cell_type == "code"]))
"""


def execute(notebook: Path, folder: Path) -> list[list[dict[str, Any]]]:
    """The outputs of each code cell, by a kernel of its own."""
    done = subprocess.run([sys.executable, "-c", EXECUTE, str(notebook), str(folder)], text=True, check=False,
                          capture_output=True, timeout=280)  # fmt: skip
    assert done.returncode == 0, done.stderr
    return list(json.loads(done.stdout.splitlines()[-1]))


def text(outputs: list[dict[str, Any]]) -> str:
    """Everything a cell shows, as text."""
    parts = []
    for output in outputs:
        data = output.get("data", {})
        parts += [output.get("text", ""), *map(str, data.values()), "\n".join(output.get("traceback", []))]
    return re.sub(r"\x1b\[[0-9;]*m", "", "\n".join(parts))


CELLS = [
    """
import steps
from tidemill import Artifact, Input, Output, Property, component, pipeline
FACTOR = 2
class Report(Artifact):
    lines = Property(int)
@component
def make(count: int = 3) -> list[float]:
    print("made", count)
    return [FACTOR * float(i) for i in range(count)]
@component
def report(points: Input[steps.JsonValue], text: Output[Report]) -> None:
    (text.path / "text").write_text(f"{points.value}")
    text.lines = 1
@component
def explode(points: Input[steps.JsonValue]) -> None:
    print("about to")
    raise RuntimeError("boom")
@pipeline
def daily(count: int = 3):
    points = make(count=count)
    report(points=points.outputs.result)
    steps.fit(points=points.outputs.result)
""",
    "first = daily.run(); first",
    "[n.state for n in daily.run().nodes.values()]",
    "FACTOR = 3\n[n.state for n in daily.run(verbose=False).nodes.values()]",
    "held = make(count=2)\nfirst['report'].outputs.text",
    "@component\ndef make(count: int = 3) -> list[float]:\n    return []\nheld.run()",
    "explode.run(points=[1])",
    "import os\nprint(os.getpid(), steps.fit.run(points=[1]).printed, first['report'].outputs.text.lines)",
    "type(__import__('sys').stdout).__name__",
    "@component\ndef nests() -> None:\n    daily.run()\nnests.run()",
]


def test_cells_run_in_the_kernel_and_modules_beside_it(project, sound) -> None:
    import nbformat

    project.write("steps.py", STEPS)
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in CELLS])
    path = project.folder / "notebook.ipynb"
    nbformat.write(notebook, path)
    shown = [text(outputs) for outputs in execute(path, project.folder)]
    assert shown[0] == ""
    assert "make | made 3" in shown[1]
    assert "fit | fitting in" in shown[1]
    assert "<table>" in shown[1]
    assert "<run daily-" in shown[1]
    assert "['CACHED', 'CACHED', 'CACHED']" in shown[2]
    assert "['COMPLETE', 'COMPLETE', 'COMPLETE']" in shown[3]
    assert "Report" in shown[4]
    assert "was defined anew since this node was made" in shown[5]
    assert "explode | about to" in shown[6]
    assert "RunFailed: run explode-" in shown[6]
    assert 'raise RuntimeError("boom")' in shown[6]
    assert "tidemill/" not in shown[6].partition("RunFailed")[2].replace(".tidemill/", "")
    kernel, _, ran = shown[7].rpartition("fitting in ")
    assert kernel.split()[-1] != ran.split()[0]
    assert ran.split()[1] == "1"
    assert "OutStream" in shown[8]
    assert "the two would wait for each other" in shown[9]
    sound(project)


def test_the_example_notebook_runs(tmp_path: Path) -> None:
    shown = [text(outputs) for outputs in execute(ROOT / "examples" / "notebook" / "line.ipynb", tmp_path)]
    assert "fit COMPLETE" in shown[2]
    assert "fit CACHED" in shown[3]
    assert "slope 3.0" in shown[4]
    assert not [text for text in shown if "Error" in text]


def test_committed_notebooks_have_no_outputs() -> None:
    notebooks = list((ROOT / "examples").rglob("*.ipynb"))
    assert notebooks
    for path in notebooks:
        for cell in json.loads(path.read_text())["cells"]:
            assert not cell.get("outputs"), path
            assert cell.get("execution_count") is None, path


def _until(holds) -> None:
    pause = threading.Event()
    for _ in range(6000):
        if holds():
            return
        pause.wait(0.01)
    raise AssertionError("it did not happen")
