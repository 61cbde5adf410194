"""Scores of all items, and the best of them in an order that never depends on chance."""

from collections.abc import Iterable
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ondevice.formats.tensors import F32, I8

F64: TypeAlias = NDArray[np.float64]
I64: TypeAlias = NDArray[np.int64]

_BLOCK = 4096  # rows widened at a time: fits the cache, and a large catalogue is never copied


def scores(
    u: NDArray[np.floating[Any]], codes: I8, inverse_norms: F32, bias: F32, temperature: float
) -> F64:
    """Return `temperature * <u, x_i> + bias_i` for every item i, with x_i its unit vector.

    Args:
        u: (d,), the user vector.
        codes: (n, d).
        inverse_norms: (n,), 1 / length of each row of codes.
        bias: (n,), in units of the score.
        temperature: units of the score in one unit of cosine.
    """
    out: F64 = products(np.asarray(u, dtype=np.float64)[None, :], codes, inverse_norms)[0]
    out *= temperature
    out += bias
    return out


def products(directions: F64, codes: I8, inverse_norms: F32) -> F64:
    """Return `<direction, x_i>` of k directions (k, d) and every item i, (k, n).

    The codes are widened once. Each direction gives the same bits as it does alone.
    """
    out = np.empty((len(directions), len(codes)))
    for at in range(0, len(codes), _BLOCK):
        wide = codes[at : at + _BLOCK].astype(np.float64)
        for k, direction in enumerate(directions):
            out[k, at : at + _BLOCK] = wide @ direction
    out *= inverse_norms
    return out


def cosines(row: int, codes: I8, inverse_norms: F32) -> F64:
    """Return the cosine of item `row` with every item, (n,); 0 for a row of zeros."""
    unit = codes[row].astype(np.float64) * float(inverse_norms[row])
    nothing = np.zeros(len(codes), dtype=np.float32)
    return scores(unit, codes, inverse_norms, nothing, 1.0)


def top_k(values: F64, k: int, exclude: Iterable[int] = ()) -> I64:
    """Return the rows of the `k` largest finite `values`, best first; equal ones by row.

    Fewer come back when fewer are left. Rows of `exclude` that don't exist are ignored.
    """
    n = len(values)
    eligible = np.isfinite(values)
    dropped = np.fromiter((row for row in exclude if 0 <= row < n), dtype=np.int64)
    eligible[dropped] = False
    rows = np.flatnonzero(eligible)
    if k <= 0:
        return rows[:0]
    kept = values[rows]
    if k < len(rows):
        least = np.partition(kept, len(kept) - k)[len(kept) - k]
        above, level = np.flatnonzero(kept > least), np.flatnonzero(kept == least)
        chosen = np.concatenate([above, level[: k - len(above)]])
        rows, kept = rows[chosen], kept[chosen]
    return rows[np.lexsort((rows, -kept))]
