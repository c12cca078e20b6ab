"""MLMD's filter queries: text in, parameterised SQL out.

A filter query is a condition on artifacts, executions or contexts, written as in SQL:
`type = 'Model' AND properties.version.int_value > 3 AND contexts_run.name LIKE 'nightly%'`. The stages are
files: lexer (text to tokens), parser (tokens to a tree of syntax.py), resolver (names and types, against
the fixed tables of fields.py) and compiler (tree to SQL). This room knows the tables of MLMD's schema by
name, but no database, connection or transaction. What users write never becomes SQL text: values and
property names are parameters, everything else comes from tables in this room.
"""

from __future__ import annotations

from tidemill.metadata.filter.compiler import CompiledFilter, compile_filter
from tidemill.metadata.filter.error import FilterError
from tidemill.metadata.filter.lexer import quoted

__all__ = ["CompiledFilter", "FilterError", "compile_filter", "quoted"]
