"""Late fusion: what a further vector space, such as that of pictures, adds to the scores.

Nobody's behaviour is released in such a space. What the scores rank highest stands for the person
there, so this is a function of the scores and of public vectors: it costs no privacy, and the
owner's view and the shared view may use it alike.
"""

import numpy as np

from ondevice.formats.tensors import F32, I8
from ondevice.ranking.score import F64, products, top_k

ANCHORS = 30  # of the best items, which stand for the person
_REACH = 2.0  # deviations that count at most


def fused(values: F64, codes: I8, inverse_norms: F32, *, weight: float, spread: float) -> F64:
    """Return what likeness in another space adds to each score, (n,).

    The person there is the mean of the vectors of the best 30 items, weighted by
    `exp((score - best) / spread)`. With z how many deviations an item is nearer to it than the
    mean item, the share is `weight * spread * z`, z from -2 to 2; 0 for an item without a vector.

    Args:
        values: (n,), scores.
        codes: (n, k), in the other space.
        inverse_norms: (n,); 0 for an item that has no vector there.
        weight: 0 to 1.
        spread: standard deviation of the scores.
    """
    out = np.zeros(len(values))
    there = inverse_norms > 0
    if not weight or spread <= 0.0 or not there.any():
        return out
    best = top_k(np.where(there, values, -np.inf), ANCHORS)
    pull = np.exp((values[best] - values[best[0]]) / spread)
    unit = codes[best].astype(np.float64) * inverse_norms[best][:, None]
    near = products((pull @ unit)[None, :], codes, inverse_norms)[0]
    deviation = float(near[there].std())
    if deviation > 0.0:
        z = (near - float(near[there].mean())) / deviation
        out[there] = weight * spread * np.clip(z[there], -_REACH, _REACH)
    return out
