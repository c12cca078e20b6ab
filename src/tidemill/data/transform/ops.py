"""Every operation of a transform graph: one table, `OPS`, put together from the tables of each kind.

An operation is defined by its numpy kernel. Where polars has the same operation natively, the entry
names it, and a property test holds the two equal; elsewhere the batch backend calls the kernel. To add an
operation, add an entry to a table, a function for users, and its parameters to that test.
"""

from __future__ import annotations

from tidemill.data.transform import ops_learned, ops_list, ops_number, ops_text, ops_time
from tidemill.data.transform.op import Op
from tidemill.errors import DataError, did_you_mean

OPS: dict[str, Op] = {
    **ops_number.OPS,
    **ops_text.OPS,
    **ops_time.OPS,
    **ops_list.OPS,
    **ops_learned.OPS,
}
"""Every operation but `input`, `constant` and `value` (a learned number), which only bring values in."""

SOURCES = ("input", "constant", "value")


def op_of(name: str) -> Op:
    """The entry called `name`; DataError with a suggestion when this tidemill has none."""
    if name not in OPS:
        raise DataError(f"the transform graph uses the operation {name!r}", hint=did_you_mean(name, OPS))
    return OPS[name]
