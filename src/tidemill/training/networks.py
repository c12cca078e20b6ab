"""What the trainers of networks share: settings that can be wrong, losses that are no numbers."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from tidemill.errors import DataError, PermanentError


def check_settings(settings: Any) -> None:
    """DataError for settings with which nothing can be trained."""
    for name in ("epochs", "batch_size"):
        if getattr(settings, name) < 1:
            raise DataError(f"{name} is {getattr(settings, name)}", hint="at least 1")
    if not settings.learning_rate > 0:
        raise DataError(f"learning_rate is {settings.learning_rate}", hint="more than 0")
    if not 0 <= settings.dropout < 1:
        raise DataError(f"dropout is {settings.dropout}", hint="from 0 to below 1")
    if any(not isinstance(size, int) or size < 1 for size in settings.hidden_sizes):
        raise DataError(f"hidden_sizes are {list(settings.hidden_sizes)!r}", hint="whole numbers from 1 on")


def diverged(loss: float, epoch: int) -> None:
    """PermanentError when the loss is no number any more."""
    if not math.isfinite(loss):
        raise PermanentError(
            f"the loss is {loss} after epoch {epoch}: the training diverged",
            hint="a smaller learning_rate, or features scaled in preprocessing_fn",
        )


def show(epoch: int, losses: Mapping[str, float]) -> None:
    """One line of the node's log."""
    print(f"epoch {epoch}: " + ", ".join(f"{split} {value:.6g}" for split, value in losses.items()))
