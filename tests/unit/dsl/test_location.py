"""The place of a mistake is in the user's code, whatever that code's folder is called."""

from __future__ import annotations

from pathlib import Path

import pytest

import tidemill
from tidemill.dsl.location import caller

HOME = Path(tidemill.__file__).parent


@pytest.mark.parametrize("folder", [HOME.with_name("tidemill_flows"), HOME.parent, Path("flows")])
def test_a_folder_beside_tidemill_is_the_users(folder: Path) -> None:
    file = str(folder / "flow.py")
    names = {"caller": caller}
    exec(compile("\n\nfound = caller()", file, "exec"), names)
    assert names["found"] == f"{file}:3"


@pytest.mark.parametrize("file", [str(HOME / "dsl" / "node.py"), "<frozen importlib._bootstrap>"])
def test_frames_of_tidemill_and_of_the_import_system_are_passed_over(file: str) -> None:
    names = {"caller": caller}
    exec(compile("def between(): return caller()", file, "exec"), names)
    exec(compile("\nfound = between()", "flow.py", "exec"), names)
    assert names["found"] == "flow.py:2"
