"""The work of CountWords: takes artifacts and values, writes files, sets properties; it sees no store."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from word_counts import WordCounts

from tidemill import DataError, FileSet


def run(*, source: FileSet, counts: WordCounts, leave_out: Sequence[str] = ()) -> None:
    """The same names as in the declaration; outputs are given as artifacts to write into."""
    found: Counter[str] = Counter()
    for file in source.files:
        text = Path(file.uri).read_text(encoding="utf-8")
        found.update(word for word in re.findall(r"\w+", text.lower()) if word not in leave_out)
    if not found:
        raise DataError("there is no word in the files", hint="give other files, or a shorter leave_out")
    # Sorted, so that the same texts give the same bytes: the cache goes by them.
    text = json.dumps(dict(sorted(found.items())), indent=1)
    (counts.path / "counts.json").write_text(text + "\n", encoding="utf-8")
    counts.words, counts.distinct = found.total(), len(found)
