"""ExampleDiff's work: compare each split, write what differs."""

from __future__ import annotations

from collections.abc import Sequence

from tidemill.data.example_diff import FILE, DiffChoices, diff_splits, summary, write_diff
from tidemill.data.parquet import split_folder
from tidemill.data.split_names import select_splits
from tidemill.errors import DataError, ValidationFailed, did_you_mean
from tidemill.types.standard import Examples, ExamplesDiff


def run(
    *,
    examples: Examples,
    baseline_examples: Examples,
    diff: ExamplesDiff,
    keys: Sequence[str],
    columns: Sequence[str] = (),
    exclude_columns: Sequence[str] = (),
    exclude_splits: Sequence[str] = (),
    tolerance: float = 0.0,
    samples: int = 20,
    fail: bool = False,
) -> None:
    """Write the differences of `examples` from `baseline_examples`; see the component."""
    splits = select_splits(examples.splits, exclude_splits)
    for name in splits:
        if name not in baseline_examples.splits:
            hint = did_you_mean(name, baseline_examples.splits)
            raise DataError(f"the baseline examples have no split {name!r}", hint=hint)
    choices = DiffChoices(
        keys=tuple(keys), columns=tuple(columns), exclude=tuple(exclude_columns), tolerance=tolerance,
        samples=samples,
    )  # fmt: skip
    found = {
        name: diff_splits(
            split_folder(examples.path, name), split_folder(baseline_examples.path, name), choices
        )
        for name in splits
    }
    write_diff(diff.path, found)
    diff.splits = splits
    diff.num_left_only = sum(split.left_only for split in found.values())
    diff.num_right_only = sum(split.right_only for split in found.values())
    diff.num_changed = sum(split.changed for split in found.values())
    text = summary(found)
    print(text)
    if fail and any(split.differs for split in found.values()):
        hint = "look at the samples in the file; leave columns out that may differ with exclude_columns"
        raise ValidationFailed(text, where=str(diff.path / FILE), hint=hint)
