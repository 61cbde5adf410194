"""How much a row of a clocked stream holds: nobody may look, so the release itself is asked.

With one row for each behaviour the number of rows says how much a profile has seen. With rows at
public times it doesn't: most may be empty. How many are not is what the clock hides, so it is
estimated from released rows alone (post-processing).
"""

import numpy as np

from ondevice.formats.space import Space
from ondevice.privacy.decoder import Decoded

LEVELS = tuple(2.0**-k for k in range(10))  # mean weight of a row: a full one to almost nothing


def mean_weight(decoded: Decoded, space: Space) -> float:
    """Return the mean weight of a row that makes `decoded` likely, in (0, 1].

    v is taken for normal with mean `w s m0` and covariance `w^2 s^2 between + w q within + n I`
    at mean weight w; s and q are the sums of decays and of their squares. All levels are equally
    likely beforehand; the answer is their geometric mean under what v says.
    """
    if decoded.steps == 0:
        return LEVELS[0]
    mean = space.mean.astype(np.float64)
    between, within = space.between.astype(np.float64), space.within.astype(np.float64)
    second = within + between + np.outer(mean, mean)  # of a row that is empty or not
    floor = decoded.noise_variance + 1e-9
    logs = []
    for weight in LEVELS:
        scale = weight * decoded.weight_sum
        spread = scale**2 * between + weight * decoded.weight_square_sum * second
        spread[np.diag_indices_from(spread)] += floor
        root = np.linalg.cholesky((spread + spread.T) / 2)
        error = np.linalg.solve(root, decoded.v - scale * mean)
        logs.append(-float(error @ error) / 2 - float(np.log(np.diag(root)).sum()))
    likely = np.exp(np.array(logs) - max(logs))
    return float(np.exp(likely @ np.log(LEVELS) / likely.sum()))
