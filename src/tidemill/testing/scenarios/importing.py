"""Files made elsewhere."""

from __future__ import annotations

from tidemill import Examples, importer, pipeline
from tidemill.testing.scenarios.parts import train


@pipeline
def importing(folder: str) -> None:
    """An importer, and a node that reads what it brought in."""
    rows = importer(f"{folder}/given", Examples, properties={"span": 3, "source": "elsewhere"}).with_id(
        "rows"
    )
    train([rows.outputs.artifact])
