"""NodeCall: everything `launch` needs, and its one spelling as a command line.

`python -m tidemill.runtime ...` with these arguments is the command that every runner runs.
"""

from __future__ import annotations

import dataclasses
import sys
from dataclasses import dataclass
from typing import Literal, Self, get_args

from tidemill.errors import RunnerError, did_you_mean

Isolation = Literal["process", "fresh", "none"]
Reuse = Literal["allowed", "never"]
_CHOICES = {"isolation": get_args(Isolation), "reuse": get_args(Reuse)}


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeCall:
    """Run one node of one run."""

    metadata: str
    """URL of the metadata store."""
    run_id: str
    node_id: str
    iteration: int = 0
    attempt: int = 0
    """Counted by the caller; 0 lets the store count."""
    ready: int = 0
    """Since when the node could run, in milliseconds since 1970; 0 when the caller does not say."""
    code_root: str = ""
    """Folder that the user's modules are imported from."""
    workdir: str = ""
    """Working directory of the executor; relative file patterns start here. Empty: the present one."""
    isolation: Isolation = "process"
    """`process`: the executor runs in a child process, forked where a helper is warm. `fresh`: in a
    brand-new interpreter. `none`: in this process. A node's own option comes before it."""
    reuse: Reuse = "allowed"
    """`never`: run the node even if an equal execution could be reused."""
    python: str = ""
    """Interpreter that executes in place of the one that runs tidemill, unless the node has an environment
    of its own."""
    run_state: str = ""
    """How the run ends, for an exit node: COMPLETE, FAILED or CANCELED."""

    def argv(self, python: str = sys.executable) -> list[str]:
        """The command line that launches this call."""
        words = [python, "-m", "tidemill.runtime"]
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if value != f.default:
                words.append(f"--{f.name.replace('_', '-')}={value}")
        return words

    @classmethod
    def from_argv(cls, words: list[str]) -> Self:
        """Inverse of `argv()[3:]`; RunnerError for anything else."""
        names = {f"--{f.name.replace('_', '-')}": f.name for f in dataclasses.fields(cls)}
        given: dict[str, int | str] = {}
        for word in words:
            option, equals, value = word.partition("=")
            if not equals or option not in names:
                raise RunnerError(f"unknown argument {word!r}", hint=did_you_mean(option, names))
            given[names[option]] = _read(names[option], value)
        try:
            return cls(**given)  # type: ignore[arg-type]  # each was converted to its field's type above
        except TypeError as error:
            raise RunnerError(f"the call is incomplete: {error}") from None


def _read(name: str, text: str) -> int | str:
    if name in _CHOICES and text not in _CHOICES[name]:
        raise RunnerError(f"{name} {text!r} is unknown", hint=did_you_mean(text, _CHOICES[name]))
    if name not in ("iteration", "attempt", "ready"):
        return text
    try:
        return int(text)
    except ValueError:
        raise RunnerError(f"{name} must be a number, got {text!r}") from None
