"""Code digests: they change with what a component runs, and with nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import tidemill
from tidemill.dsl import code
from tidemill.dsl.code import digest_of

WORK = '''\
"""The module."""

import json

from lib import scaled, unused_name
from pkg import rows
import pkg.deep.layers
from pkg.deep import shapes as forms

LIMIT = 3
TABLE = {"a": 1}
TABLE["b"] = 2
TABLE.update(c=3)
if LIMIT > 2:
    SIZE = 1
else:
    SIZE = 2


def work(count: int = LIMIT) -> int:
    """What it does."""
    # why
    from late import later

    return helper(count) + scaled(1) + rows.count() + pkg.deep.layers.DEPTH + later() + SIZE


def helper(count):
    return count + len(TABLE) + Shape.sides


class Shape:
    """A class that is used."""

    sides = 3
    """How many."""


def unrelated():
    return elsewhere.other


import elsewhere

if __name__ == "__main__":
    print(work())
'''
FILES = {
    "work.py": WORK,
    "lib.py": "import lib_of_lib\n\ndef scaled(x):\n    return x * lib_of_lib.FACTOR\n\nunused_name = 1\n",
    "lib_of_lib.py": "FACTOR = 2\n",
    "late.py": "def later():\n    return 1\n",
    "elsewhere.py": "other = 1\n",
    "never_imported.py": "x = 1\n",
    "pkg/__init__.py": "NAME = 'pkg'\n",
    "pkg/rows.py": "from . import columns\n\ndef count():\n    return columns.N\n",
    "pkg/columns.py": "N = 1\n",
    "pkg/other.py": "N = 1\n",
    "pkg/deep/__init__.py": "",
    "pkg/deep/layers.py": "from ..above import TOP\nDEPTH = TOP\n",
    "pkg/deep/shapes.py": "X = 1\n",
    "pkg/above.py": "TOP = 1\n",
}


@pytest.fixture
def project(module: Callable[[str, str], Path]) -> Callable[[str, str], Path]:
    """All the files, and a way to write one of them anew."""
    for name, text in FILES.items():
        module(name, text)
    return module


SAME = {
    "comment": ("    # why\n", "    # for another reason\n\n"),
    "docstring of the module": ('"""The module."""', '"""Another."""'),
    "docstring of the function": ('    """What it does."""', '    """Something else,\n\n    at length."""'),
    "no docstring": ('    """What it does."""\n', ""),
    "docstring of a class": ('    """A class that is used."""\n\n', ""),
    "text after an attribute": ('    """How many."""\n', '    """As many as there are."""\n'),
    "line breaks": (
        "return helper(count) + scaled(1) + rows.count()",
        "return helper(count) + \\\n        scaled(1)    + rows.count( )",
    ),
    "quotes": ('TABLE = {"a": 1}', "TABLE = {'a': 1,}"),
    "unrelated function": ("return elsewhere.other", "return elsewhere.other + 1"),
    "new unrelated function": ("def unrelated():", "def fresh():\n    return LIMIT\n\n\ndef unrelated():"),
    "what a script does": ("    print(work())", "    print(work(), LIMIT)"),
    "unused import": ("import json", "import math"),
}
OTHER = {
    "the function": ("return helper(count)", "return -helper(count)"),
    "a default": ("count: int = LIMIT", "count: int = LIMIT + 1"),
    "a function it calls": ("return count + len(TABLE)", "return count - len(TABLE)"),
    "a constant it uses": ("LIMIT = 3", "LIMIT = 4"),
    "a table it uses": ('TABLE = {"a": 1}', 'TABLE = {"a": 2}'),
    "an entry": ('TABLE["b"] = 2', 'TABLE["b"] = 3'),
    "a call that fills the table": ("TABLE.update(c=3)", "TABLE.update(c=4)"),
    "a branch of the module": ("    SIZE = 2", "    SIZE = 3"),
    "a class it uses": ("sides = 3", "sides = 4"),
    "an import that it uses": ("from lib import scaled, unused_name", "from lib2 import scaled"),
}


@pytest.mark.parametrize(("old", "new"), SAME.values(), ids=SAME)
def test_what_does_nothing_changes_nothing(project: Callable[[str, str], Path], old: str, new: str) -> None:
    before = digest_of("work:work")
    assert WORK.count(old) == 1
    project("work.py", WORK.replace(old, new))
    assert digest_of("work:work") == before


@pytest.mark.parametrize(("old", "new"), OTHER.values(), ids=OTHER)
def test_what_the_function_uses_of_its_module(
    project: Callable[[str, str], Path], old: str, new: str
) -> None:
    before = digest_of("work:work")
    assert WORK.count(old) == 1
    project("work.py", WORK.replace(old, new))
    assert digest_of("work:work") != before


NOT_REACHED = {
    "elsewhere.py",  # imported for another function
    "never_imported.py",
    "pkg/other.py",  # in a package of which another module is used
    "pkg/deep/shapes.py",  # imported under a name that the function does not use
}


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"work.py"}))
def test_modules_count_when_they_can_be_reached(project: Callable[[str, str], Path], name: str) -> None:
    """Directly, in a package, relatively, inside a function, as `from package import module`."""
    before = digest_of("work:work")
    project(name, FILES[name] + "\nADDED = 1\n")
    assert (digest_of("work:work") == before) == (name in NOT_REACHED)
    project(name, FILES[name] + "\n# a comment\n")
    assert digest_of("work:work") == before


def test_a_new_module_may_take_the_place_of_a_missing_one(project: Callable[[str, str], Path]) -> None:
    project("work.py", "import optional\n\ndef work():\n    return optional.x\n")
    before = digest_of("work:work")
    project("optional.py", "x = 1\n")
    assert digest_of("work:work") != before


def test_everything_that_a_star_import_brings(project: Callable[[str, str], Path]) -> None:
    project("work.py", "from lib import *\n\ndef work():\n    return scaled(1)\n")
    before = digest_of("work:work")
    project("lib_of_lib.py", "FACTOR = 3\n")
    assert digest_of("work:work") != before


def test_texts_that_follow_a_docstring_do_not_change_a_digest_taken_before(
    project: Callable[[str, str], Path],
) -> None:
    """The digest of one function must not depend on which others were looked at first."""
    project("work.py", '"one"\n"two"\nimport lib\n\ndef work():\n    "one"\n    "two"\n    return lib\n')
    first = digest_of("work:work")
    project("user.py", "import work\n\ndef use():\n    return work.work\n")
    assert digest_of("user:use") == digest_of("user:use")
    assert digest_of("work:work") == first


def test_two_functions_have_two_digests(project: Callable[[str, str], Path]) -> None:
    project("twins.py", "def a():\n    return 1\n\ndef b():\n    return 1\n")
    assert digest_of("twins:a") != digest_of("twins:b")


def test_a_method_stands_for_its_class(project: Callable[[str, str], Path]) -> None:
    project("cls.py", "class A:\n    rate = 1\n    def f():\n        return A.rate\n")
    before = digest_of("cls:A.f")
    project("cls.py", "class A:\n    rate = 2\n    def f():\n        return A.rate\n")
    assert digest_of("cls:A.f") != before


def test_a_module_that_cannot_be_parsed_counts_by_its_bytes(project: Callable[[str, str], Path]) -> None:
    project("lib.py", "def broken(:\n")
    before = digest_of("work:work")
    project("lib.py", "def broken(::\n")
    assert digest_of("work:work") != before


@pytest.mark.parametrize(
    ("ref", "why"),
    [
        ("nowhere:f", "there is no module 'nowhere'"),
        ("pkg.nowhere:f", "there is no module 'pkg.nowhere'"),
        ("work.nowhere:f", "there is no module 'work.nowhere'"),
        ("work:wrok", "it has no 'wrok': did you mean 'work'?"),
    ],
)
def test_what_is_not_there(project: Callable[[str, str], Path], ref: str, why: str) -> None:
    with pytest.raises(LookupError) as caught:
        digest_of(ref)
    assert caught.value.args == (why,)


def test_installed_functions_count_by_name_alone(project: Callable[[str, str], Path]) -> None:
    refs = ["json:dumps", "numpy:mean", "builtins:len", "tidemill.types.json:canonical"]
    assert len({digest_of(ref) for ref in refs}) == len(refs)


LOOK = """
import json, sys
from tidemill.dsl.code import digest_of
digests = {ref: digest_of(ref) for ref in sys.argv[1:]}
print(json.dumps([digests, sorted({name.partition(".")[0] for name in sys.modules}), sorted(sys.modules)]))
"""


def look(refs: list[str], folder: Path, seed: str) -> tuple[dict[str, str], list[str], list[str]]:
    """Digests in a process of its own, and the modules it loaded on the way."""
    env = {**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK, *refs], env=env, check=True, capture_output=True, timeout=60
    )
    digests, tops, modules = json.loads(done.stdout)
    return digests, tops, modules


def test_digests_are_the_same_in_every_process_and_import_nothing(
    project: Callable[[str, str], Path], tmp_path: Path
) -> None:
    project(
        "heavy.py", "import polars\nimport numpy as np\nimport pkg.deep.layers\n\ndef fit():\n    np, pkg\n"
    )
    components = Path(tidemill.__file__).parent / "components"
    standard = [f"tidemill.components.{p.parent.name}.executor:run" for p in components.glob("*/executor.py")]
    refs = ["work:work", "heavy:fit", *standard]
    assert len(refs) >= 6
    one, tops, modules = look(refs, tmp_path, "1")
    other, _, _ = look(refs, tmp_path, "2")
    assert one == other == {ref: digest_of(ref) for ref in refs}
    assert len(set(one.values())) == len(refs)
    assert not {"polars", "numpy", "pyarrow", "sklearn", "work", "heavy", "pkg", "lib"} & set(tops)
    assert not [name for name in modules if name.startswith(("tidemill.components", "tidemill.data"))]


def test_own_modules_are_read_for_the_imports_that_their_trees_have() -> None:
    """They are not parsed, for speed: what a pattern finds in their text must be all that is there."""
    folder = Path(code.__file__).parents[1]
    paths = [
        p for room in ("components", "data", "models", "training") for p in (folder / room).rglob("*.py")
    ]
    assert len(paths) > 100
    for path in paths:
        source = path.read_bytes()
        _, found = code._read_own(source, "")
        modules = set(code._imports([code.parsed(source.decode())], ""))
        own = {m for m in modules if code._source_file(m) is not None and m.startswith("tidemill.")}
        assert own <= found, path
