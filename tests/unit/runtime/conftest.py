"""Orders for executors that a test writes down, executed under real supervisors."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tidemill.runtime.execute import CancelToken, execute_in_child
from tidemill.runtime.failure import Failure
from tidemill.runtime.limits import Limits
from tidemill.runtime.measure import Usage
from tidemill.runtime.order import Answer, Order
from tidemill.runtime.spawner import Spawner


@dataclass
class Bench:
    """A folder with one module of executors."""

    folder: Path
    spawner: Spawner

    def write(self, text: str) -> None:
        (self.folder / f"{self.module}.py").write_text(textwrap.dedent(text))

    @property
    def module(self) -> str:
        return f"executors_{self.folder.name}".replace("-", "_")

    @property
    def log(self) -> Path:
        return self.folder / "log.txt"

    def run(
        self, executor: str, limits: Limits | None = None, *, cancel: CancelToken | None = None,
        usage: Usage | None = None, fresh: bool = False, command: Sequence[str] = (),
    ) -> Answer | Failure:  # fmt: skip
        order = Order(
            executor=f"{self.module}:{executor}", inputs={}, outputs={}, parameters={},
            code_root=str(self.folder), workdir=str(self.folder),
        )  # fmt: skip
        return execute_in_child(
            order, self.log, limits=limits or Limits(), cancel=cancel or CancelToken(), usage=usage,
            spawner=None if fresh else self.spawner, command=command,
        )  # fmt: skip

    def fails(self, executor: str, limits: Limits | None = None, **options: object) -> Failure:
        found = self.run(executor, limits, **options)  # type: ignore[arg-type]  # handed on
        assert isinstance(found, Failure), found
        return found


@pytest.fixture(scope="session")
def helper() -> Iterator[Spawner]:
    made = Spawner()
    yield made
    made.close()


@pytest.fixture
def bench(tmp_path: Path, helper: Spawner, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.setattr("tidemill.runtime.execute.GRACE", 0.3)
    return Bench(tmp_path, helper)
