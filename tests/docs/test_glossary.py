"""The glossary's words are the project's words."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
GLOSSARY = ROOT / "docs" / "glossary.md"
ROW = re.compile(r"^\| \*\*(?P<word>[^*]+)\*\* \| (?P<meaning>.+) \|$", re.MULTILINE)
ROWS = [(m["word"], m["meaning"]) for m in ROW.finditer(GLOSSARY.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def everything_else() -> str:
    files = [*ROOT.glob("src/tidemill/**/*.py"), *ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    return "\n".join(f.read_text(encoding="utf-8") for f in files if f != GLOSSARY)


def test_the_table_was_read() -> None:
    assert len(ROWS) > 20
    words = [word.lower() for word, _ in ROWS]
    assert len(words) == len(set(words)), "a word is explained twice"


@pytest.mark.parametrize("word", [word for word, _ in ROWS])
def test_a_word_is_used(word: str, everything_else: str) -> None:
    small, capital = (r"[\s_]?".join(re.split(r"\s", form)) for form in (word.lower(), word))
    assert re.search(rf"(?:(?<![A-Za-z]){small}|{capital})s?(?![a-z])", everything_else), (
        f"{word!r} stands in the glossary and nowhere else"
    )


def test_states_are_those_of_the_record() -> None:
    from tidemill.metadata.model import NodeState, RunState

    text = GLOSSARY.read_text(encoding="utf-8")
    of_node = re.search(r"^States of a node: (.+?)\.$", text, re.MULTILINE)
    of_run = re.search(r"^States of a run: (.+?)\.$", text, re.MULTILINE)
    assert of_node is not None
    assert of_run is not None
    assert set(re.findall(r"\b[A-Z]{4,}\b", of_node[1])) == {state.name for state in NodeState}
    assert set(re.findall(r"\b[A-Z]{4,}\b", of_run[1])) == {state.name for state in RunState}
