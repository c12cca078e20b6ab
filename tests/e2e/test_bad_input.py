"""Bad input: one clear error, the right exit code, and a record that stays whole."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

READING = """
    from tidemill import files, pipeline
    from tidemill.components import ExampleGen, ExampleValidator, ImportSchemaGen, StatisticsGen

    @pipeline
    def reading(pattern: str = "data.csv"):
        examples = ExampleGen(source=files(pattern))
        statistics = StatisticsGen(examples=examples.outputs.examples)
        schema = ImportSchemaGen(schema_file=files("schema.yaml"))
        ExampleValidator(statistics=statistics.outputs.statistics, schema=schema.outputs.schema)
"""
SCHEMA_FROM = """
    from tidemill import files, pipeline
    from tidemill.components import ExampleGen, SchemaGen, StatisticsGen

    @pipeline
    def inferring():
        examples = ExampleGen(source=files("good.csv"))
        statistics = StatisticsGen(examples=examples.outputs.examples)
        SchemaGen(statistics=statistics.outputs.statistics)
"""
GOOD = "user,age,city\n" + "".join(f"u{i},{20 + i % 40},{'ABC'[i % 3]}\n" for i in range(300))


@pytest.fixture
def reading(project):
    """A project whose schema was inferred from good data."""
    project.write("infer.py", SCHEMA_FROM)
    project.write("good.csv", GOOD)
    project.tidemill("run", "infer.py")
    ((uri,),) = project.query("SELECT uri FROM Artifact WHERE uri LIKE '%/schema'")
    (project.folder / "schema.yaml").write_bytes((Path(uri) / "schema.yaml").read_bytes())
    project.write("pipeline.py", READING)
    return project


def failed(project, node: str, *words: str) -> str:
    """Run, expect only `node` to fail, and give its message."""
    answer = project.run(*words, expect=1)
    bad = {name: n for name, n in answer["nodes"].items() if n["state"] == "FAILED"}
    assert list(bad) == [node], bad
    assert bad[node]["attempt"] == 1
    return str(bad[node]["message"])


def test_good_data_passes(reading, sound) -> None:
    reading.write("data.csv", GOOD)
    assert reading.run()["state"] == "COMPLETE"
    sound(reading)


@pytest.mark.parametrize("text", ["", "user,age,city\n"], ids=["empty", "header-only"])
def test_a_csv_without_rows(reading, sound, text: str) -> None:
    reading.write("data.csv", text)
    message = failed(reading, "ExampleGen")
    assert "data.csv" in message
    sound(reading)
    reading.write("data.csv", GOOD)
    assert reading.run()["state"] == "COMPLETE"


def test_a_missing_file_names_what_was_looked_for(reading) -> None:
    message = failed(reading, "ExampleGen", "-p", "pattern=nowhere-*.csv")
    assert "nowhere-*.csv" in message


def test_a_missing_column_is_an_anomaly(reading, sound) -> None:
    reading.write("data.csv", "\n".join(line.rsplit(",", 1)[0] for line in GOOD.splitlines()) + "\n")
    message = failed(reading, "ExampleValidator")
    assert "city" in message
    assert "SCHEMA_MISSING_COLUMN" in message
    sound(reading)


def test_a_truncated_parquet_file_is_named(reading, sound) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    path = reading.folder / "data.parquet"
    pq.write_table(pa.table({"user": ["a", "b"] * 500, "age": list(range(1000))}), path)
    os.truncate(path, path.stat().st_size // 2)
    message = failed(reading, "ExampleGen", "-p", "pattern=data.parquet")
    assert "data.parquet" in message
    sound(reading)


def test_five_mistakes_are_five_messages_and_nothing_is_recorded(project) -> None:
    path = project.write(
        "pipeline.py",
        """
        from tidemill import Input, JsonValue, Model, Output, component, pipeline

        @component
        def make(size: int) -> list[int]:
            return []

        @component
        def fit(numbers: Input[JsonValue], model: Output[Model]) -> None: ...

        @pipeline
        def daily():
            a = make(sise=3)
            b = make(size="three").with_id("b")
            c = fit(numbers=a.outputs.result).with_id("c")
            fit(numbers=c.outputs.model).with_id("d")
            fit(numbers=b).with_id("e f")
            c >> a
        """,
    )
    done = project.tidemill("run", "pipeline.py", expect=2)
    for words in (
        "unknown input or parameter 'sise'", "did you mean 'size'", "expected int, got str 'three'",
        "takes JsonValue, but c.outputs.model is Model", "takes an output, got the node b",
        "bad node name 'e f'", "cycle: make >> c >> make", f"{path}:13", f"{path}:17",
    ):  # fmt: skip
        assert words in done.stderr, done.stderr
    assert "Traceback" not in done.stderr
    assert not (project.folder / ".tidemill").exists()
    as_json = project.tidemill("compile", "pipeline.py", "--check", "--json", expect=2)
    assert len(json.loads(as_json.stderr)["error"]["problems"]) >= 6


def test_a_file_that_cannot_be_imported_says_where(project) -> None:
    project.write("pipeline.py", "import numpi\n")
    done = project.tidemill("run", "pipeline.py", expect=2)
    assert "No module named 'numpi'" in done.stderr
    assert "pipeline.py:1" in done.stderr
    project.write("pipeline.py", "def f(:\n")
    done = project.tidemill("run", "pipeline.py", expect=2)
    assert "SyntaxError" in done.stderr
    assert "pipeline.py:1" in done.stderr
    done = project.tidemill("run", "pipelin.py", expect=2)
    assert "did you mean 'pipeline.py'" in done.stderr


def test_a_store_that_cannot_be_read(project) -> None:
    project.write("pipeline.py", SIMPLE)
    project.write(".tidemill/metadata.db", "this is not a database, but it is long enough to be read" * 20)
    done = project.tidemill("run", "pipeline.py", expect=3)
    assert "metadata.db" in done.stderr
    assert "Traceback" not in done.stderr
    done = project.tidemill("runs", "list", "--root", "elsewhere", expect=3)
    assert "there is no record" in done.stderr


SIMPLE = """
    from tidemill import Model, NodeOptions, Output, component, pipeline

    @component
    def write(megabytes: int, model: Output[Model]) -> None:
        with open(model.path / "weights", "wb") as file:
            for _ in range(megabytes):
                file.write(bytes(1 << 20))

    @pipeline
    def writing(megabytes: int = 0):
        write(megabytes=megabytes)
"""


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(folder)], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        pytest.skip(f"cannot mount a small file system here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_a_full_disk(project, small_disk: Path, sound: Callable[..., None]) -> None:
    project.write("pipeline.py", SIMPLE)
    (project.folder / ".tidemill").symlink_to(small_disk)
    answer = project.run("-p", "megabytes=10", expect=1)
    assert answer["nodes"]["write"]["failure"] == "STORAGE"
    assert "disk is full" in answer["nodes"]["write"]["message"]
    sound(project)
    # Now the database itself has no room: the run stops with the store's own exit code.
    filler = small_disk / "filler"
    with pytest.raises(OSError, match="No space"):
        filler.write_bytes(bytes(4 << 20))
    done = project.tidemill("run", "pipeline.py", expect=None)
    assert done.returncode == 3, done.stdout + done.stderr
    assert "full" in done.stderr
    assert "Traceback" not in done.stderr
    filler.unlink()
    for leftover in small_disk.rglob("weights"):
        leftover.unlink()
    assert project.run()["state"] == "COMPLETE"
    sound(project)


def test_no_space_left_in_user_code_is_called_what_it_is(project) -> None:
    """The twin of the full disk that needs no rights: user code meets the same error."""
    project.write(
        "pipeline.py",
        """
        import errno
        from tidemill import component, pipeline

        @component
        def write() -> None:
            raise OSError(errno.ENOSPC, "No space left on device", "model.bin")

        @pipeline
        def writing():
            write()
        """,
    )
    answer = project.run(expect=1)
    assert answer["nodes"]["write"]["failure"] == "STORAGE"
    assert "the disk is full: model.bin" in answer["nodes"]["write"]["message"]


@pytest.mark.parametrize(
    ("words", "message", "code"),
    [
        (["run", "pipeline.py", "-p", "megabites=1"], "did you mean 'megabytes'", 4),
        (["run", "pipeline.py", "-p", "megabytes=many"], "not a valid int", 4),
        (["run", "pipeline.py", "--date", "yesterday"], "write YYYY-MM-DD", 4),
        (["run", "pipeline.py", "-p", "megabytes"], "NAME=VALUE", 2),
        (["rnu"], "did you mean 'run'", 2),
        (["logs", "latest", "x"], "nothing was run yet", 4),
        (["init", "1bad"], "start with a letter", 4),
    ],
)
def test_wrong_usage_is_explained(project, words: list[str], message: str, code: int) -> None:
    project.write("pipeline.py", SIMPLE)
    if words[0] == "logs":
        project.tidemill("explain", "pipeline.py")
    done = project.tidemill(*words, expect=code)
    assert message in done.stderr
    assert "Traceback" not in done.stderr
