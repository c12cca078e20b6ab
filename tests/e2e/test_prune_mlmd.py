"""`tidemill prune --mlmd`: a database that TFX alone wrote, its files, and one run by name."""

from __future__ import annotations

import json
from contextlib import closing
from pathlib import Path

import pytest

from tidemill.testing.mlmd_stories import E, MlmdStory, opened


@pytest.fixture
def tfx(project):
    """Three runs; the last one took its examples from the first one's."""
    root = project.folder / "tfx"
    with closing(opened(project.folder / "mlmd.db")) as store:
        story = MlmdStory(store, str(root))
        for number in (1, 2, 3):
            if number == 1:
                (examples,) = story.execute("r1", "taxi", "Gen", outputs=(f"{root}/Gen/1",))
            else:
                story.execute(f"r{number}", "taxi", "Gen", outputs=(examples,), state=E.CACHED)
            inputs = (examples,) if number != 2 else ()
            story.execute(f"r{number}", "taxi", inputs=inputs, outputs=(f"{root}/Trainer/{number}",))
            project.write(f"tfx/Trainer/{number}/model", "x" * 1000)
        project.write("tfx/Gen/1/data", "x")
    return project


def prune(project, *words: str, expect: int = 0):
    return project.tidemill("prune", "--mlmd", "--metadata", "mlmd.db", *words, expect=expect)


def files(project) -> set[str]:
    return {str(p.parent.relative_to(project.folder / "tfx")) for p in project.folder.glob("tfx/*/*/*")}


def test_what_tfx_recorded_goes(tfx) -> None:
    everything = {"Gen/1", "Trainer/1", "Trainer/2", "Trainer/3"}
    before = (tfx.folder / "mlmd.db").read_bytes()
    would = prune(tfx, "--root", "tfx", "--keep-last", "1").stdout
    assert "would delete 2 artifacts of 2 runs, 0.0 MB" in would
    assert "TFX" in would
    assert "nothing was changed" in would
    assert files(tfx) == everything
    assert (tfx.folder / "mlmd.db").read_bytes() == before
    assert "0 artifacts" in prune(tfx, "--root", ".", "--keep-last", "3", "--yes").stdout
    done = prune(tfx, "--root", "tfx", "--keep-last", "1", "--rows", "--yes", "--json").stdout
    answer = json.loads(done)
    assert (len(answer["runs"]), len(answer["artifacts"]), answer["bytes"]) == (2, 2, 2000)
    assert len(answer["removed_runs"]) == 1  # r1 made what r3 uses
    assert files(tfx) == {"Gen/1", "Trainer/3"}
    sound = tfx.tidemill("doctor", "--deep", "--metadata", "mlmd.db", "--root", "tfx", expect=None)
    assert "sound" in sound.stdout, sound.stdout + sound.stderr


def test_one_run_by_name(tfx) -> None:
    assert "no run 'r9'" in prune(tfx, "--root", "tfx", "--run", "r9", expect=4).stderr
    assert "run r3 stays" in prune(tfx, "--root", "tfx", "--run", "r3", "--yes").stdout
    prune(tfx, "--root", "tfx", "--run", "r2", "--rows", "--yes")
    assert files(tfx) == {"Gen/1", "Trainer/1", "Trainer/3"}


def test_a_root_that_is_not_there_deletes_nothing(tfx) -> None:
    assert "no folder" in prune(tfx, "--root", "elsewhere", "--yes", expect=None).stderr
    assert "no record" in tfx.tidemill(
        "prune", "--mlmd", "--root", "tfx", "--metadata", "no.db", expect=3
    ).stderr  # fmt: skip


def test_links_lead_to_what_stays(tfx) -> None:
    """An old artifact's place is a link to the folder of a kept one."""
    place: Path = tfx.folder / "tfx" / "Trainer" / "1"
    (place / "model").unlink()
    place.rmdir()
    place.symlink_to(tfx.folder / "tfx" / "Trainer" / "3")
    done = prune(tfx, "--root", "tfx", "--keep-last", "1", "--yes").stdout
    assert "deleted 1 artifacts" in done
    assert (tfx.folder / "tfx" / "Trainer" / "3" / "model").exists()


def test_a_run_under_way_refuses(tfx) -> None:
    with closing(opened(tfx.folder / "mlmd.db")) as store:
        MlmdStory(store, "").execute("r4", "taxi", state=E.RUNNING)
    assert "is under way" in prune(tfx, "--root", "tfx", "--keep-last", "1").stdout
    refused = prune(tfx, "--root", "tfx", "--keep-last", "1", "--yes", expect=3).stderr
    assert "put_executions" in refused
    assert len(files(tfx)) == 4
