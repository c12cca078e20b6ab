"""Where in the user's own code something was written, for error messages."""

from __future__ import annotations

import os
import sys
from pathlib import Path

_HOME = str(Path(__file__).parent.parent) + os.sep


def caller() -> str:
    """`file:line` of the innermost frame outside tidemill; empty when there is none."""
    frame = sys._getframe(1)
    while frame is not None:
        filename = frame.f_code.co_filename
        if not filename.startswith((_HOME, "<frozen")):
            return f"{filename}:{frame.f_lineno}"
        if frame.f_back is None:
            break
        frame = frame.f_back
    return ""
