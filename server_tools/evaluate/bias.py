"""How much popularity should count beside taste: learned on the publisher's users, never set.

With score_i = tau <u, x_i> + s log(1 + count_i), tau and s are those that make what the
publisher's users chose last most likely (a softmax over all items they had not seen), with u as
noisy as it will be, and counts of everybody else's choices, as a device finds them. A space fixes
the temperature, so the bias of an item is s/tau of it.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from ondevice.formats.tensors import F32
from server_tools.evaluate.baselines import counts
from server_tools.evaluate.data import Device, device
from server_tools.evaluate.measure import F64
from server_tools.evaluate.ours import Recommender, Releases, factorised

EPSILONS = (math.inf, 8.0, 4.0, 2.0, 1.0)  # one bias serves all of them
USERS = 250  # more add nothing to two numbers
LEAST_TAU = 1e-3  # texts that say nothing leave popularity alone


def learn(ours: Recommender, histories: Sequence[Sequence[int]], *, seed: int) -> F32:
    """Return the bias (n,) of every item, in units of the score.

    Args:
        ours: with no bias yet.
        histories: rows of the publisher's users, oldest first.
        seed: of the noise and of the choice of users.
    """
    n, space = len(ours.catalogue), ours.catalogue.space
    generator = np.random.default_rng((seed, 1))
    halves = [device(str(k), tuple(rows)) for k, rows in enumerate(histories)]
    everybody = counts(histories, n)
    chosen = [halves[k] for k in generator.permutation(len(halves))[:USERS]]
    releases = [Releases(ours, factorised(space, epsilon), generator) for epsilon in EPSILONS]
    units = ours.catalogue.unit().astype(np.float64)
    profiles = np.stack(
        [releases[generator.integers(len(releases))].profile(one.behaviours).u for one in chosen]
    )
    others = np.tile(everybody, (len(chosen), 1))
    for row, one in enumerate(chosen):
        others[row, [*one.behaviours, *one.held_out]] -= 1
    tau, scale = _most_likely(profiles @ units.T, np.log1p(others), chosen)
    bias = scale / max(tau, LEAST_TAU) * space.temperature
    return np.asarray(bias * np.log1p(everybody), dtype=np.float32)


def _most_likely(taste: F64, popular: F64, chosen: Sequence[Device]) -> tuple[float, float]:
    """Return tau and s for `taste` and `popular`, both (users, n)."""
    from scipy.optimize import minimize

    wanted = np.zeros_like(taste)
    seen = np.zeros_like(taste)
    for row, one in enumerate(chosen):
        seen[row, list(one.behaviours)] = -np.inf
        wanted[row, list(one.held_out)] = 1 / max(1, len(one.held_out))

    def loss(x: F64) -> tuple[float, F64]:
        logits = x[0] * taste + x[1] * popular + seen
        logits -= logits.max(axis=1, keepdims=True)
        weights = np.exp(logits)
        total = weights.sum(axis=1, keepdims=True)
        said = wanted * np.where(np.isfinite(logits), logits - np.log(total), 0.0)
        slope = (weights / total - wanted) / len(taste)
        gradient = np.array([(slope * taste).sum(), (slope * popular).sum()])
        return -float(said.sum()) / len(taste), gradient

    found: Any = minimize(loss, np.array([1.0, 0.0]), jac=True, method="L-BFGS-B")
    return float(found.x[0]), float(found.x[1])
