"""Pages of artifacts in notebooks: the same pages that `tidemill artifacts page` writes."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from tidemill.cli.page import FILES, Part, Sources, draw, read_part
from tidemill.errors import DataError
from tidemill.types.artifact import Artifact

HEIGHT = 720
"""Of the frame in a notebook, in pixels."""


@dataclass(frozen=True, slots=True)
class Page:
    """A page that a notebook shows, in a frame of its own."""

    text: str
    """The HTML document."""

    def save(self, path: str | Path) -> Path:
        """Write it to a file; the path."""
        path = Path(path)
        path.write_text(self.text, encoding="utf-8")
        return path

    def _repr_html_(self) -> str:
        # The frame may run the page's script, and is of no origin: it can reach nothing of the notebook.
        shown = html.escape(self.text, quote=True)
        return (
            f'<iframe sandbox="allow-scripts" srcdoc="{shown}" width="100%" height="{HEIGHT}" '
            'style="border:1px solid #8886;border-radius:6px"></iframe>'
        )


def page(artifact: Artifact, *, against: Artifact | None = None, anomalies: Artifact | None = None) -> Page:
    """The page of an artifact: ExampleStatistics, or ModelEvaluation.

    against: other ExampleStatistics, to see what moved. anomalies: ExampleAnomalies found in the statistics.
    DataError for other types, and for files that cannot be read.
    """
    kind = artifact.TYPE_NAME
    if kind == "ModelEvaluation":
        return Page(draw(Sources(evaluation=_part(artifact, "ModelEvaluation"))))
    return Page(
        draw(
            Sources(
                statistics=_part(artifact, "ExampleStatistics"),
                against=None if against is None else _part(against, "ExampleStatistics"),
                anomalies=None if anomalies is None else _part(anomalies, "ExampleAnomalies"),
            )
        )
    )


def _part(artifact: Artifact, kind: str) -> Part:
    found = artifact.TYPE_NAME
    if found != kind:
        raise DataError(
            f"there is no page of {found}",
            hint=f"pages are made of {', '.join(name for name in FILES if name != 'ModelBlessing')}",
        )
    return read_part(artifact.path, kind, f"artifact {artifact.id}" if artifact.id else kind)
