"""The frame of every page: one file, its own style and script, and a policy that forbids all else.

The policy (Content Security Policy Level 3) lets nothing be loaded from anywhere, and lets run and apply
only the one script and the one style whose hashes it names: what would slip through the escaping could
still do nothing.
"""

from __future__ import annotations

import base64
import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

from tidemill.pages.text import TITLE_MOST, escaped

_HERE = Path(__file__).parent

Facts = Sequence[tuple[str, str]]
"""What is known of an artifact, in order: name and value."""


def document(title: str, body: str, *, facts: Facts = ()) -> str:
    """The page: `body` is HTML made here, `title` and `facts` are text."""
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
    listed = "".join(f"<div><dt>{escaped(name)}</dt><dd>{escaped(v, 200)}</dd></div>" for name, v in facts)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        '<meta name="color-scheme" content="light dark">\n<meta name="referrer" content="no-referrer">\n'
        f"<title>{escaped(title, TITLE_MOST)}</title>\n<style>{style}</style>\n</head>\n<body>\n"
        f'<header class="top"><h1>{escaped(title, 200)}</h1>'
        f"{f'<dl class=facts>{listed}</dl>' if listed else ''}</header>\n"
        f"{body}\n<script>{script}</script>\n</body>\n</html>\n"
    )


@functools.cache
def _asset(name: str) -> str:
    return (_HERE / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
