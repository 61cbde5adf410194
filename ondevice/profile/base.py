"""Where an owner's scores come from, before anything is said, picked or rearranged."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Protocol

import numpy as np

from ondevice.domain import Part
from ondevice.formats.catalogue import Catalogue
from ondevice.profile.explain import Evidence, Past, parts_of
from ondevice.profile.pipeline import noise_of
from ondevice.profile.release import Profile
from ondevice.ranking.score import F64, I64, products


class Base(Protocol):
    """Scores of all items, and what they consist of."""

    @property
    def values(self) -> F64:
        """(n,), additive scores."""
        ...

    @property
    def usual(self) -> float:
        """What is public in the score of the middle item."""
        ...

    def parts(self, row: int) -> list[Part]:
        """What the score of `row` consists of."""
        ...

    def noise(self, rows: I64) -> F64:
        """Standard deviation of the noise in the scores of `rows`, (m,)."""
        ...


@dataclass(frozen=True, kw_only=True, eq=False)
class FromRelease:
    """Scores of a released profile, and of releases in other spaces beside it."""

    profile: Profile
    catalogue: Catalogue
    past: Past
    more: Sequence[Evidence] = field(default=())
    forgotten: bool = False

    @cached_property
    def _both(self) -> F64:
        """(2, n): scores of this person, and of nobody in particular."""
        c, p = self.catalogue, self.profile
        general = p.u - p.gain @ p.v
        mine = p.u + sum((e.gain @ e.v for e in self.more), np.zeros_like(p.u))
        both = products(np.stack([mine, general]), c.codes, c.inverse_norms)
        both *= p.temperature
        both += c.bias
        return both

    @property
    def values(self) -> F64:
        """(n,), additive scores."""
        return np.asarray(self._both[0])

    @cached_property
    def usual(self) -> float:
        """Prior and popularity of the middle item."""
        return float(np.median(self._both[1])) if self._both.size else 0.0

    def parts(self, row: int) -> list[Part]:
        """What the score of `row` consists of."""
        return parts_of(
            self.profile,
            self.catalogue,
            row,
            self.past,
            more=self.more,
            forgotten=self.forgotten,
        )

    def noise(self, rows: I64) -> F64:
        """Standard deviation of the noise in the scores of `rows`, (m,)."""
        return noise_of(self.profile, self.catalogue, rows)
