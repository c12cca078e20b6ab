"""Digests of code that no file holds: what changes them and what does not."""

from __future__ import annotations

import importlib
import linecache
import sys
import types
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tidemill.dsl.live_code import digest_of, is_current

Session = Callable[[str], dict[str, Any]]


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A `__main__` to type cells into, as a kernel keeps one."""
    main = types.ModuleType("__main__")
    monkeypatch.setitem(sys.modules, "__main__", main)
    files = []

    def cell(source: str) -> dict[str, Any]:
        name = f"<cell {len(files)}>"
        files.append(name)
        linecache.cache[name] = (len(source), None, source.splitlines(keepends=True), name)
        exec(compile(source, name, "exec"), main.__dict__)
        return main.__dict__

    yield cell
    for name in files:
        linecache.cache.pop(name, None)


USER = "def f(x):\n    return helper(x) + LIMIT\n"


def test_what_it_uses_counts_and_nothing_else(session: Session) -> None:
    names = session("LIMIT = 3\ndef helper(x):\n    return x\n" + USER)
    before = digest_of(names["f"])
    assert digest_of(names["f"]) == before
    session("UNRELATED = 9\n_ = object()\ndef other():\n    pass\n")
    assert digest_of(names["f"]) == before
    session('def helper(x):\n    """Says so."""\n    # and this\n    return x\n')
    assert digest_of(names["f"]) == before
    session("LIMIT = 4\n")
    changed = digest_of(names["f"])
    assert changed != before
    session("LIMIT = 3\ndef helper(x):\n    return x + 1\n")
    assert digest_of(names["f"]) not in (before, changed)


def test_a_new_definition_replaces_the_function_that_a_node_holds(session: Session) -> None:
    first = session("def f():\n    return 1\n")["f"]
    assert is_current(first)
    second = session("def f():\n    return 1\n")["f"]
    assert not is_current(first)
    assert is_current(second)
    assert digest_of(first) == digest_of(second)


def test_components_of_the_session_are_followed_to_their_functions(session: Session) -> None:
    text = "from tidemill import component\n@component\ndef inner() -> int:\n    return {}\n"
    names = session(text.format(1) + "def f():\n    return inner.function()\n")
    before = digest_of(names["f"])
    assert is_current(names["inner"].function)
    session(text.format(2))
    assert digest_of(names["f"]) != before


def test_classes_count_by_their_methods_and_values(session: Session) -> None:
    text = "class Box:\n    size = {}\n    def get(self):\n        return {}\n"
    names = session(text.format(1, 1) + "def f():\n    return Box().get()\n")
    before = digest_of(names["f"])
    session(text.format(1, 1))
    assert digest_of(names["f"]) == before
    session(text.format(2, 1))
    assert digest_of(names["f"]) != before
    session(text.format(1, 2))
    assert digest_of(names["f"]) != before


def test_what_cannot_be_compared_is_never_equal(session: Session) -> None:
    names = session("import io\nTABLE = io.StringIO()\ndef f():\n    return TABLE\n")
    assert digest_of(names["f"]) != digest_of(names["f"])


def test_without_a_source_the_instructions_are_compared(session: Session) -> None:
    main = sys.modules["__main__"]
    exec("def f(x):\n    return x in {'a', 'b', 'c'}\n", main.__dict__)
    before = digest_of(main.f)
    exec("def f(x):\n    return x in {'a', 'b', 'c'}\n", main.__dict__)
    assert digest_of(main.f) == before
    exec("def f(x):\n    return x in {'a', 'b', 'd'}\n", main.__dict__)
    assert digest_of(main.f) != before


def test_project_modules_count_as_they_are_on_disk_and_as_they_are_loaded(
    session: Session, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After an edit the session still runs what it imported: the two must never share a key."""
    module = f"steps_{tmp_path.name}".replace("-", "_")
    file = tmp_path / f"{module}.py"
    file.write_text("def work():\n    return 1\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    names = session(f"import {module}\nfrom {module} import work\ndef f():\n    return work()\n")
    before = digest_of(names["f"])
    file.write_text("def work():\n    return 20\n")
    edited = digest_of(names["f"])
    assert edited != before
    importlib.reload(sys.modules[module])
    session(f"from {module} import work\n")
    assert digest_of(names["f"]) not in (before, edited)
    del sys.modules[module]
