"""One program, two imports: tidemill.mlmd and ml-metadata 1.17.1 answer alike and read each other's files.

Needs an interpreter with ml-metadata 1.17.1, see test_mlmd_interop.py. What is known to differ is not in
the program; it is tested in the other files here and told in docs/decisions/0012-mlmd-interface.md.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

PROGRAM = Path(__file__).with_name("mlmd_program.py")


def ask(python: str, action: str, path: Path | str) -> Any:
    side = "tidemill" if python == sys.executable else "ml_metadata"
    done = subprocess.run([python, str(PROGRAM), side, action, str(path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_every_step_gives_the_same(mlmd_python: str) -> None:
    ours, theirs = ask(sys.executable, "run", ""), ask(mlmd_python, "run", "")
    different = {name: (theirs[name], ours.get(name)) for name in theirs if theirs[name] != ours.get(name)}
    assert not different
    assert ours.keys() == theirs.keys()
    assert len(ours) > 150


def test_both_read_what_either_wrote(mlmd_python: str, folder: Path) -> None:
    """Field by field, times and ids included, and then each goes on in the other's file."""
    for writer, reader in ((sys.executable, mlmd_python), (mlmd_python, sys.executable)):
        path = folder / f"by-{'tidemill' if writer == sys.executable else 'mlmd'}.db"
        ask(writer, "run", path)
        found = ask(reader, "dump", path)
        assert found == ask(writer, "dump", path)
        assert [len(nodes) for nodes in found["nodes"]] == [12, 12, 6]
        ask(reader, "extend", path)
        assert ask(writer, "dump", path) == ask(reader, "dump", path) != found


def test_the_program_fails_where_it_should(mlmd_python: str) -> None:
    """That most steps succeed and a good part are refused: a program that only fails compares nothing."""
    found = ask(sys.executable, "run", "")
    refused = {name for name, answer in found.items() if isinstance(answer, list) and answer[1:] and
               isinstance(answer[0], str) and answer[0].endswith("Error")}  # fmt: skip
    assert 40 < len(refused) < len(found) / 2
    codes = {found[name][1] for name in refused}
    assert codes == {3, 5, 6, 11, 12}
