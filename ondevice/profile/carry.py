"""A release that goes on in another stream: post-processing by a public map.

When a space changes, or a profile is started anew, the new stream starts empty. What was released
before is still known, so it goes on as a part of the profile that decays with every new row. A
map between two spaces is fitted on public item vectors that both have, never on behaviour [P18].
"""

import numpy as np

from ondevice.privacy.decoder import F64, Decoded

FEWEST = 50  # shared items below which no map is fitted
_RIDGE = 1e-3  # of the mean eigenvalue of the old vectors' second moment


def fit(old: F64, new: F64) -> F64 | None:
    """Return the map M (d new, d old) for which M old_i is nearest to new_i; None for too few.

    Least squares with a little ridge, so that directions which no item shows map to nothing.

    Args:
        old: (n, d old), vectors of n items in one space.
        new: (n, d new), vectors of the same items in the other.
    """
    if len(old) != len(new) or len(old) < FEWEST:
        return None
    a, b = old.astype(np.float64), new.astype(np.float64)
    moment = a.T @ a
    moment[np.diag_indices_from(moment)] += _RIDGE * np.trace(moment) / len(moment)
    return np.asarray(np.linalg.solve(moment, a.T @ b).T)


def carried(decoded: Decoded, before: Decoded, mapping: F64 | None) -> Decoded:
    """Return what both streams say together: the new one, and what is left of the older.

    Args:
        decoded: of the new stream.
        before: of the older stream; it takes no more rows.
        mapping: (d new, d old); None where both are in one space.
    """
    fade = decoded.beta**decoded.steps
    v, noise = before.v, before.noise_variance
    if mapping is not None:
        v = mapping @ v
        noise *= float((mapping**2).sum()) / len(mapping)  # mean over the new coordinates
    return Decoded(
        v=decoded.v + fade * v,
        steps=decoded.steps + before.steps,
        beta=decoded.beta,
        noise_variance=decoded.noise_variance + fade**2 * noise,
        weight_sum=decoded.weight_sum + fade * before.weight_sum,
        weight_square_sum=decoded.weight_square_sum + fade**2 * before.weight_square_sum,
    )
