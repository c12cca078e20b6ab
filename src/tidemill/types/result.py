"""What a run that was started from Python looks like to its user.

The classes behind these live above the definition language, which must not know them; so here is what
`Pipeline.run` promises to give.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol


class NodeView(Protocol):
    """A node of a run."""

    @property
    def id(self) -> str:
        """Its id in the pipeline."""

    @property
    def state(self) -> str:
        """COMPLETE, CACHED, FAILED, ...; empty when it was not started."""

    @property
    def message(self) -> str:
        """Why it failed, was reused or ran."""

    @property
    def outputs(self) -> Mapping[str, Any]:
        """Its output artifacts by name, with `path`, `properties` and, where they hold one, `value`."""

    @property
    def log(self) -> Path | None:
        """The file with what it printed."""

    @property
    def run(self) -> RunView:
        """The run that it belongs to."""


class RunView(Protocol):
    """A run."""

    @property
    def id(self) -> str:
        """Its id in the record."""

    @property
    def state(self) -> str:
        """COMPLETE, FAILED or CANCELED."""

    @property
    def seconds(self) -> float:
        """From start to end."""

    def __getitem__(self, node_id: str) -> NodeView:
        """A node; KeyError names those that there are."""

    def __iter__(self) -> Iterator[str]:
        """Ids of all nodes, in an order in which they could run."""
