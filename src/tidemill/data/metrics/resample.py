"""Weights of a Poisson bootstrap, from a hash: the same row has the same weights on every machine.

Each replicate gives each row a weight drawn from Poisson(1), so rows can be visited in any order, in parts,
and nothing random is stored (Hanley and MacGibbon 2006; Chamandy et al., "Estimating uncertainty for massive
data streams", 2012; TFMA's poisson_bootstrap.py does so with a generator).
"""

from __future__ import annotations

import math

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from tidemill.data.hashing import hash_column

_STEP = 0x9E3779B97F4A7C15
_LANES = 4


def _table() -> NDArray[np.uint8]:
    """Poisson(1) by its distribution function, for each of 65,536 equally likely numbers."""
    shares = np.cumsum([math.exp(-1) / math.factorial(k) for k in range(10)])
    found: NDArray[np.uint8] = np.searchsorted(shares, (np.arange(65536) + 0.5) / 65536).astype(np.uint8)
    return found


_POISSON = _table()


def poisson_weights(rows: NDArray[np.uint64], replicates: int) -> NDArray[np.uint8]:
    """Weights of rows, named by numbers, in each replicate: shape (rows, replicates).

    Four replicates share one hash of 64 bits, 16 bits each: probabilities are exact to 1/131072.
    """
    found = np.empty((len(rows), -(-replicates // _LANES) * _LANES), np.uint8)
    for block in range(0, replicates, _LANES):
        shifted = rows ^ np.uint64((block // _LANES + 1) * _STEP & 0xFFFF_FFFF_FFFF_FFFF)
        hashed = np.ascontiguousarray(hash_column(pa.array(shifted)))
        found[:, block : block + _LANES] = _POISSON[hashed.view("<u2").reshape(-1, _LANES)]
    return found[:, :replicates]
