"""How often one audit of a sound mechanism may fail: at most once in a million [A1].

Each check has a share of that level and splits it evenly over the comparisons that it plans.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

from ondevice.errors import IntegrityError

FAMILY = 1e-6

SHARES: Mapping[str, float] = {
    "mechanism.low_bits": 1e-7,
    "mechanism.sampler": 2e-7,
    "mechanism.variance": 1e-7,
    "mechanism.fit": 1e-7,
    "mechanism.cross_row": 2e-7,
    "mechanism.trade_off": 2e-7,
}


@dataclass(slots=True)
class Level:
    """One check's share, given out in equal parts to comparisons that were planned before."""

    check: str
    planned: int
    used: int = field(default=0, init=False)

    @property
    def each(self) -> float:
        """The level of one comparison."""
        return SHARES[self.check] / self.planned

    def take(self) -> float:
        """Return the level of the next comparison.

        Raises:
            IntegrityError: more are made than were planned, so the level would not hold.
        """
        self.used += 1
        if self.used > self.planned:
            raise IntegrityError(f"{self.check} planned {self.planned} comparisons and makes more")
        return self.each

    def impossible(self, bound: float) -> bool:
        """Whether a chance of at most `bound` is below the level of this comparison."""
        return bound < self.take()
