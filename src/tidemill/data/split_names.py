"""Choosing splits by name, for those who never open their files."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.errors import DataError, did_you_mean


def select_splits(splits: Sequence[str], exclude: Sequence[str]) -> list[str]:
    """The splits that are left, in order. DataError for an unknown name, or when none is left."""
    for name in exclude:
        if name not in splits:
            raise DataError(
                f"exclude_splits names {name!r}, which the examples do not have",
                hint=did_you_mean(name, splits),
            )
    kept = [name for name in splits if name not in exclude]
    if not kept:
        raise DataError(
            f"no split is left: splits {list(splits)}, excluded {list(exclude)}",
            hint="exclude fewer splits" if splits else "the examples record no splits: were they published?",
        )
    return kept
