"""The declaration: an artifact type of our own, and a component whose work is done elsewhere.

Importing this loads none of what the work needs, so compiling a pipeline stays quick.
"""

from __future__ import annotations

from collections.abc import Sequence

from tidemill import Artifact, FileSet, Outputs, Property, component


class WordCounts(Artifact):
    """`counts.json`: how often each word occurs. The properties can be searched, and used in conditions."""

    TYPE_NAME = "WordCounts"
    words = Property(int, "all words")
    distinct = Property(int)


class CountWordsOutputs(Outputs):
    """The counts."""

    counts: WordCounts


@component(executor="counting:run")
def CountWords(source: FileSet, *, leave_out: Sequence[str] = ()) -> CountWordsOutputs:
    """Count the words of text files.

    source: `files("*.txt")`. leave_out: words that do not count.
    """
    raise NotImplementedError("counting.py does it")  # never called; for type checkers
