"""Every decision has its own number and every head of the template."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

FOLDER = Path(__file__).resolve().parents[2] / "docs" / "decisions"
FILES = sorted(FOLDER.glob("*.md"))
STATUS = re.compile(
    r"^Status: (proposed|accepted|replaced by \d{4})\. Date: \d{4}-\d{2}-\d{2}\.$", re.MULTILINE
)


def heads(text: str) -> list[str]:
    return re.findall(r"^## (.+)$", text, re.MULTILINE)


def test_no_number_is_taken_twice() -> None:
    numbers = [file.name.partition("-")[0] for file in FILES]
    assert all(re.fullmatch(r"\d{4}", number) for number in numbers)
    assert len(numbers) == len(set(numbers))


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_a_decision_has_every_head(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    assert text.startswith(f"# {file.name[:4]}: ")
    assert STATUS.search(text), "Status: accepted. Date: 2026-01-31."
    assert heads(text) == heads(FILES[0].read_text(encoding="utf-8"))


@pytest.mark.parametrize("file", FILES[1:], ids=lambda file: file.stem)
def test_no_head_is_empty(file: Path) -> None:
    sections = re.split(r"^## .+$", file.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]
    assert all(section.strip() for section in sections)
