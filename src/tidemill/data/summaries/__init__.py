"""What is learned about the values of one column, by their kind: a state per kind, added to and merged.

A summary sees values without nulls and knows neither names nor files. `column` puts summaries together to
the state of a column, `analyzer` those of all columns to the analyzer that statistics are made with.
"""

from __future__ import annotations
