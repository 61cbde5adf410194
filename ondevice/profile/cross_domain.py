"""What somebody does in one space moves the lists of another: films move books and talks.

Catalogues of one space share its stream, so there is nothing to do. Between spaces of one encoder
leads a public linear map: both are projections of the same text vectors. What was released in the
other space is carried over by it, which is post-processing and costs no privacy.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ondevice.formats.space import Space
from ondevice.profile.explain import Evidence, Past
from ondevice.profile.release import Profile
from ondevice.ranking.score import F64

RIDGE = 1e-3  # of the mean eigenvalue: directions that the other space hardly has are left out


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Abroad:
    """A profile of another space."""

    space: Space
    profile: Profile
    past: Past


def bridge(source: Space, target: Space) -> F64 | None:
    """Return the public map (d, k) from `source` to `target`; None where there is none.

    It is the regression of `W2 e` on `W1 e` for text vectors e without a preferred direction,
    scaled so that a unit vector has, on average, the length that its image deserves: the share
    of `target` that `source` can see.
    """
    if source.encoder != target.encoder:
        return None
    one, two = source.projection.astype(np.float64), target.projection.astype(np.float64)
    inner = one @ one.T
    inner += RIDGE * float(np.trace(inner)) / len(inner) * np.eye(len(inner))
    across = np.linalg.solve(inner, one @ two.T).T
    # x is a projection divided by its length; bring the typical lengths together.
    lengths = np.linalg.norm(one) / max(float(np.linalg.norm(two)), 1e-12)
    return np.asarray(across * lengths)


def evidence(here: Profile, target: Space, others: Sequence[Abroad]) -> list[Evidence]:
    """Return what releases of other spaces add to the user vector of `target`.

    A release counts by how much of the person it holds: `m / (m + m')`, with m the sum of what its
    steps still weigh and m' that of the target's own stream. So a new stream starts from what is
    known elsewhere, and forgets it as it learns.

    Args:
        here: the profile in the target space.
        target: the space of the catalogue to rank.
        others: profiles of other spaces.
    """
    mine = _mass(here)
    found = []
    for other in others:
        across = bridge(other.space, target)
        if across is None or other.profile.steps == 0:
            continue
        weight = _mass(other.profile) / (_mass(other.profile) + mine)
        found.append(
            Evidence(
                gain=weight * across @ other.profile.gain,
                v=other.profile.v,
                past=other.past,
            )
        )
    return found


def _mass(profile: Profile) -> float:
    return (1 - profile.beta**profile.steps) / (1 - profile.beta)
