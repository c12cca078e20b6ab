"""Every error tidemill raises: one tree, stable codes, one shape.

An error says what went wrong and why (`message`), where (`where`) and how to mend it (`hint`).
`code` is stable and machine-readable; `exit_code` is what the command line ends with.
Errors raised by user code are never replaced: they travel as the cause of an `ExecutorError`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import ClassVar


class TidemillError(Exception):
    """The root of the tree. Raise one of its subclasses."""

    code: ClassVar[str] = "TIDEMILL"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __str__(self) -> str:
        lines = [self.message]
        if self.where:
            lines.append(f"  at   {self.where}")
        if self.hint:
            lines.append(f"  fix  {self.hint}")
        return "\n".join(lines)


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a pipeline definition."""

    what: str
    where: str = ""
    """`file:line` of the user's own code."""
    hint: str = ""

    def __str__(self) -> str:
        parts = [f"{self.where}: {self.what}" if self.where else self.what]
        if self.hint:
            parts.append(f"    fix: {self.hint}")
        return "\n".join(parts)


class DefinitionError(TidemillError):
    """The pipeline definition is wrong. `problems` lists every mistake found, not only the first."""

    code = "DEFINITION"
    exit_code = 2

    def __init__(
        self, message: str, *, where: str = "", hint: str = "", problems: Iterable[Problem] = ()
    ) -> None:
        super().__init__(message, where=where, hint=hint)
        self.problems = tuple(problems) or (Problem(message, where, hint),)

    def _render_traceback_(self, *_: object) -> list[str]:
        """What notebooks show: the problems have places of their own."""
        return [f"{type(self).__name__}: {self}"]

    @classmethod
    def of(cls, subject: str, problems: Iterable[Problem]) -> DefinitionError:
        """One error out of many problems; `subject` names what was being compiled."""
        found = tuple(problems)
        count = f"{len(found)} problem" + ("s" if len(found) != 1 else "")
        return cls(f"{subject}: {count}", problems=found)

    def __str__(self) -> str:
        if len(self.problems) == 1 and self.problems[0].what == self.message:
            return super().__str__()
        return "\n".join([self.message, *(f"  {i}. {p}" for i, p in enumerate(self.problems, 1))])


class ResolutionError(TidemillError):
    """An input, parameter, placeholder or file pattern of a node has no value at run time."""

    code = "RESOLUTION"


class ExecutorError(TidemillError):
    """User code, or the process it ran in, failed."""

    code = "EXECUTOR"


class DataError(ExecutorError):
    """The input data cannot be used: empty, truncated, a column missing, a value of the wrong type."""

    code = "DATA"


class ValidationFailed(ExecutorError):
    """A component did its work and its verdict is no: for example, the data has anomalies."""

    code = "VALIDATION"


class TransientError(ExecutorError):
    """Raised by user code: it failed, and another attempt may succeed without anybody's help."""

    code = "TRANSIENT"


class PermanentError(ExecutorError):
    """Raised by user code: it failed, and would fail again."""

    code = "PERMANENT"


class InvalidOutput(ExecutorError):
    """An executor returned or wrote what it may not."""

    code = "INVALID_OUTPUT"


class RunFailed(ExecutorError):
    """A run that was started from Python did not complete. `result` holds what came of it."""

    code = "RUN_FAILED"

    def __init__(self, message: str, *, result: object = None, where: str = "", hint: str = "") -> None:
        super().__init__(message, where=where, hint=hint)
        self.result = result

    def _render_traceback_(self, *_: object) -> list[str]:
        """What notebooks show instead of the frames that led here, none of which is the user's."""
        return [f"{type(self).__name__}: {self}"]


class StorageError(TidemillError):
    """A path or URI is unsafe, unreachable, incomplete or full."""

    code = "STORAGE"
    exit_code = 3


class ImageError(TidemillError):
    """An image cannot be made as it is asked for."""

    code = "IMAGE"
    exit_code = 2


class RegistryError(TidemillError):
    """A registry, or an engine that builds images, cannot be reached, refuses, or answers nonsense."""

    code = "REGISTRY"
    exit_code = 3


class StoreError(TidemillError):
    """The metadata store cannot be opened, read or written."""

    code = "STORE"
    exit_code = 3


class FencedError(StoreError):
    """A stale attempt tried to change a node that a newer attempt owns, or that already ended."""

    code = "FENCED"


class RunnerError(TidemillError):
    """A run cannot be started, found or controlled."""

    code = "RUNNER"
    exit_code = 4


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`did you mean 'x'?`, else the known names, else nothing. For use as a hint."""
    import difflib

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    if not names:
        return ""
    shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
    return f"known: {shown}"
