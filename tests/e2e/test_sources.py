"""What a pipeline read is on record: what is new, late or changed, reproductions, and caching by content."""

from __future__ import annotations

import json
import os
from typing import Any

PIPELINE = """
    from pathlib import Path
    import reader
    from tidemill import files, pipeline, run
    from tidemill.components import ExampleGen
    from tidemill.types.source import Csv, Custom, Query

    @pipeline
    def daily():
        days = files("data/{YYYY}-{MM}-{DD}*.csv", date=run.date)
        ExampleGen(Csv(days, delimiter=";"), splits={"all": 1}, max_bad_rows=1)
        ExampleGen(Custom(reader.rows, arguments={"day": run.date}), splits={"all": 1}).with_id("custom")
        ExampleGen(
            Query("select count(*) as n from days", tables={"days": days}), splits={"all": 1}
        ).with_id("query")
"""
READER = """
    import pyarrow as pa

    def rows(day):
        yield pa.table({"day": [day], "n": [1]})
"""


def states(project: Any) -> dict[str, str]:
    found = json.loads(project.tidemill("sources", "daily", "--all", "--json").stdout)
    return {os.path.basename(f["uri"]): f["state"] for f in found if f["node"] == "ExampleGen"}  # noqa: PTH119


def test_new_late_and_changed_files_are_seen(project: Any) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("reader.py", READER)
    for day in ("04", "05"):
        project.write(f"data/2024-03-{day}.csv", "a;b\n1;2\n3\n")
    first = project.run("--date", "2024-03-05")
    assert set(project.states(first).values()) == {"COMPLETE"}
    assert states(project) == {"2024-03-04.csv": "MISSED", "2024-03-05.csv": "READ"}
    again = project.run("--date", "2024-03-05", "--new")
    assert set(project.states(again).values()) == {"CACHED"}

    reproduced = json.loads(project.tidemill("reproduce", first["run"], "--json").stdout)
    assert {node["verdict"] for node in reproduced["nodes"]} == {"same"}, reproduced

    project.write("data/2024-03-05-more.csv", "a;b\n5;6\n")
    project.write("data/2024-03-06.csv", "a;b\n5;6\n")
    assert states(project) == {
        "2024-03-04.csv": "MISSED", "2024-03-05.csv": "READ", "2024-03-05-more.csv": "LATE",
        "2024-03-06.csv": "NEW",
    }  # fmt: skip
    late = project.run("--date", "2024-03-05", "--new")
    assert project.states(late) == {"ExampleGen": "COMPLETE", "custom": "CACHED", "query": "COMPLETE"}
    project.write("data/2024-03-05.csv", "a;b\n1;9\n3\n")
    (project.folder / "data" / "2024-03-05-more.csv").unlink()
    found = states(project)
    assert (found["2024-03-05.csv"], found["2024-03-05-more.csv"]) == ("CHANGED", "GONE")
    shown = project.tidemill("sources", "daily").stdout
    assert "CHANGED" in shown
    assert "0 of" in shown
    assert "no run of a pipeline 'weekly'" in project.tidemill("sources", "weekly", expect=None).stderr


def test_the_code_of_a_custom_source_is_part_of_the_key(project: Any) -> None:
    project.write("pipeline.py", PIPELINE)
    project.write("reader.py", READER)
    project.write("data/2024-03-05.csv", "a;b\n1;2\n")
    project.run("--date", "2024-03-05")
    project.write("reader.py", READER.replace('"n": [1]', '"n": [2]'))
    again = project.run("--date", "2024-03-05", "--new")
    assert project.states(again) == {"ExampleGen": "CACHED", "custom": "COMPLETE", "query": "CACHED"}


def test_mistakes_in_a_source_are_found_when_the_pipeline_is_compiled(project: Any) -> None:
    project.write(
        "pipeline.py",
        """
        from tidemill import files, pipeline
        from tidemill.components import ExampleGen
        from tidemill.types.source import Csv, Custom

        @pipeline
        def daily():
            ExampleGen(Csv("a.csv"))
            ExampleGen(Csv(files("a.csv"), delimiter=3)).with_id("b")
            ExampleGen("a.csv").with_id("c")
            ExampleGen(Custom(lambda: [])).with_id("d")
        """,
    )
    text = project.tidemill("compile", "pipeline.py", expect=2).stderr
    assert "at ['files']: expected files(...)" in text
    assert "at ['delimiter']: expected str, got int 3" in text
    assert "expected files(...) | Source, got str 'a.csv'" in text
    assert "is a lambda" in text
