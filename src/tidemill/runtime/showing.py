"""Files of artifacts for those who show them: a runner that hands a page to its engine's own interface.

Only the runtime knows where an artifact's bytes lie. Nothing here says what is in them.
"""

from __future__ import annotations

import json
from typing import Any

from tidemill.errors import StorageError
from tidemill.metadata.model import Artifact
from tidemill.runtime.resolve import DIGEST
from tidemill.storage import mirror


def read_json(artifact: Artifact, name: str) -> Any:
    """The content of a JSON file of an artifact; None when it has none, or one that cannot be read.

    What is shown beside a result must never make it fail, so there is no error.
    """
    try:
        folder = mirror.fetched(artifact.uri, str(artifact.custom_properties.get(DIGEST, "")))
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, StorageError):
        return None
