"""Fingerprints: equal for failures of the same cause, so that a hundred of them are one line.

A print covers the class, the exception's type and the user's own innermost frames as
`module:function`. Line numbers, paths, ids and amounts are left out: they change from one run to the
next although the cause is the same.
"""

from __future__ import annotations

import hashlib
import os
import re
from pathlib import Path
from types import TracebackType

FRAMES = 5
_NOT_OWN = (str(Path(os.__file__).parent), "/site-packages/", "/dist-packages/", "<frozen")
"""Parts of the paths of the standard library and of what is installed."""
_INNER = ("<listcomp>", "<genexpr>", "<dictcomp>", "<setcomp>")
"""Frames of comprehensions exist in some versions of Python only."""
# Compiled when it is first needed: every executor process would pay for it.
_CHANGING = (
    r"(?P<path>(?:[A-Za-z]:)?(?:[/\\][^\s/\\'\":,;)]+){2,})"
    r"|(?P<id>\b(?:0x)?(?=[0-9a-fA-F-]*\d)[0-9a-fA-F]{4,}(?:-[0-9a-fA-F]{2,})*\b)"
    r"|(?P<number>\d+(?:[.,:]\d+)*)"
)


def of_exception(kind: str, error: BaseException, code_root: str) -> str:
    """Print of an exception raised by user code below `code_root`.

    Where no frame is the user's, the innermost ones of whatever code count.
    """
    root = str(Path(code_root).resolve()) if code_root else ""
    cause = _root_cause(error)
    frames = own_frames(error.__traceback__, root) or own_frames(cause.__traceback__, root)
    if not frames:
        frames = [f"{m}:{f}" for m, f, path in _walk(error.__traceback__) if not _is_tidemill(m)][-FRAMES:]
    parts = [kind, _name(error)]
    if cause is not error:
        parts.append(f"from {_name(cause)}")
    return _digest([*parts, *(frames or [normalised(str(error))])])


def of_message(kind: str, message: str, executor: str) -> str:
    """Print of a failure without an exception: killed, late, out of memory, unresolved."""
    first = message.splitlines()[0] if message else ""
    return _digest([kind, executor, normalised(first)])


def own_frames(trace: TracebackType | None, root: str) -> list[str]:
    """`module:function` of the innermost frames whose file lies below `root`, outermost first.

    A function that calls itself counts once: how deep it went is no cause.
    """
    found: list[str] = []
    for module, function, path in _walk(trace):
        if root and not path.startswith(root + "/"):
            continue
        if any(part in path for part in _NOT_OWN):
            continue
        frame = f"{module}:{function}"
        if not _is_tidemill(module) and not function.endswith(_INNER) and found[-1:] != [frame]:
            found.append(frame)
    return found[-FRAMES:]


def normalised(text: str) -> str:
    """The text with paths, ids and numbers replaced by what they are."""
    return re.sub(_CHANGING, lambda match: f"<{match.lastgroup}>", text).strip()[:200]


def _walk(trace: TracebackType | None) -> list[tuple[str, str, str]]:
    found = []
    while trace is not None:
        frame = trace.tb_frame
        name = str(frame.f_globals.get("__name__", "?"))
        found.append((name, frame.f_code.co_qualname, frame.f_code.co_filename))
        trace = trace.tb_next
    return found


def _root_cause(error: BaseException) -> BaseException:
    """The last exception on the chain of explicit causes. A chain may be a circle."""
    seen = {id(error)}
    while error.__cause__ is not None and id(error.__cause__) not in seen:
        error = error.__cause__
        seen.add(id(error))
    return error


def _is_tidemill(module: str) -> bool:
    return module.startswith("tidemill.runtime")


def _name(error: BaseException) -> str:
    return f"{type(error).__module__}.{type(error).__qualname__}"


def _digest(parts: list[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode("utf-8", "replace")).hexdigest()[:12]
