"""Documents to draw, and what a browser would make of a page."""

from __future__ import annotations

import base64
import hashlib
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import Any

import pytest

_TAGS = """
html head meta title style body header main section article div span p h1 h2 h3 h4 dl dt dd b i a ul li code
bdi table thead tbody tr th td details summary input select option label button fieldset figure figcaption
footer strong svg g path rect circle text script"""
_ATTRIBUTES = """
lang charset http-equiv content name class id title href scope type value for hidden role aria-label aria-live
viewbox d x y r cx cy width height transform text-anchor opacity open data-columns data-step data-kind
data-notable data-weight data-missing data-zeros data-distinct data-drift data-sort"""
TAGS, ATTRIBUTES = set(_TAGS.split()), set(_ATTRIBUTES.split())
"""All that pages are made of."""


@dataclass
class Parsed(HTMLParser):
    """A page taken apart, with everything that must not be in it."""

    scripts: list[str] = field(default_factory=list)
    styles: list[str] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    policy: str = ""
    wrong: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._inside = tag
        if tag not in TAGS:
            self.wrong.append(f"<{tag}>")
        for name, value in attrs:
            if name not in ATTRIBUTES:
                self.wrong.append(f"<{tag} {name}={value!r}>")
            if name == "href" and not re.fullmatch(r"#[\w-]+", value or ""):
                self.wrong.append(f"<{tag} href={value!r}>")
            if name == "id":
                self.ids.append(value or "")
        found = dict(attrs)
        if found.get("http-equiv") == "Content-Security-Policy":
            self.policy = found["content"] or ""

    def handle_endtag(self, tag: str) -> None:
        self._inside = ""

    def handle_comment(self, data: str) -> None:
        self.wrong.append(f"<!--{data}-->")

    def handle_data(self, data: str) -> None:
        if self._inside in ("script", "style"):
            (self.scripts if self._inside == "script" else self.styles).append(data)
        else:
            self.words.append(data)

    @property
    def text(self) -> str:
        """All text, as people see it."""
        return "".join(self.words)


def parse(page: str) -> Parsed:
    """Take a page apart and check what holds of every page."""
    parsed = Parsed()
    parsed.feed(page)
    parsed.close()
    assert parsed.wrong == []
    assert len(parsed.ids) == len(set(parsed.ids))
    hashes = [
        f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
        for text in (*parsed.styles, *parsed.scripts)
    ]
    assert len(hashes) == 2, "one style and one script"
    assert parsed.policy == (
        f"default-src 'none'; style-src {hashes[0]}; script-src {hashes[1]}; "
        "base-uri 'none'; form-action 'none'"
    )
    page.encode("utf-8")
    return parsed


def numbers(name: str, low: float = 0.0, high: float = 100.0, **more: Any) -> dict[str, Any]:
    """A column of numbers, evenly spread."""
    spread = [low * (1 - k / 100) + high * k / 100 for k in range(101)]
    numeric = {
        "mean": None, "std": 1.0, "min": low, "max": high, "zeros": 0, "nan": 0, "infinite": 0,
        "quantiles": spread, "histogram": {"edges": [low, high], "counts": [1000]},
    } | more.pop("numeric", {})  # fmt: skip
    return {"name": name, "type": "float", "count": 1000, "missing": 0, "numeric": numeric} | more


def texts(name: str, frequencies: dict[str, int], **more: Any) -> dict[str, Any]:
    """A column of texts."""
    string = {
        "distinct": len(frequencies), "exact": True, "avg_length": 3.5,
        "frequencies": [[value, n] for value, n in frequencies.items()],
    } | more.pop("string", {})  # fmt: skip
    count = sum(frequencies.values())
    return {"name": name, "type": "string", "count": count, "missing": 0, "string": string} | more


def statistics(**splits: list[dict[str, Any]]) -> dict[str, Any]:
    """A `statistics.json` of these splits."""
    found = {}
    for name, columns in splits.items():
        rows = max((c["count"] + c["missing"] for c in columns), default=0)
        found[name] = {"num_rows": rows, "columns": columns}
    return {"format": "tidemill.statistics/1", "splits": found}


@pytest.fixture
def made() -> Any:
    """The functions of this file, for tests."""

    class Made:
        parse = staticmethod(parse)
        numbers = staticmethod(numbers)
        texts = staticmethod(texts)
        statistics = staticmethod(statistics)

    return Made
