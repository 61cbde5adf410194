"""The sensitivity of a whole stream, for every pair of neighbouring histories."""

import random

from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.privacy.clipping import RADIUS, clip
from ondevice.privacy.stream import StreamParameters, row

PARAMETERS = StreamParameters.for_budget(4.0, 1e-6, 3, half_life=5)
steps = st.lists(
    st.tuples(*[st.integers(-(2 * RADIUS), 2 * RADIUS)] * 3).map(clip), min_size=1, max_size=14
)


class Seeded:
    """The same bits in both worlds, so that the noise cancels."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


def release(history: list[tuple[int, ...]], seed: int) -> list[tuple[int, ...]]:
    source = Seeded(seed)
    bands = (history[t::-1][: PARAMETERS.band] for t in range(len(history)))
    return [row(PARAMETERS, band, source) for band in bands]


@settings(deadline=None)
@given(steps, st.data(), st.integers(0, 2**32))
def test_zeroing_one_unit_moves_all_rows_together_by_a_bounded_amount(
    history: list[tuple[int, ...]], data: st.DataObject, seed: int
) -> None:
    """sum_t |y_t - y'_t|^2 <= S^2 sum c^_k^2, which is 2 rho sigma2."""
    index = data.draw(st.integers(0, len(history) - 1))
    neighbour = [*history[:index], (0, 0, 0), *history[index + 1 :]]

    moved = sum(
        (a - b) ** 2
        for y, other in zip(release(history, seed), release(neighbour, seed), strict=True)
        for a, b in zip(y, other, strict=True)
    )

    bound = RADIUS**2 * sum(c * c for c in PARAMETERS.coefficients)
    assert moved <= bound
    assert bound <= 2 * PARAMETERS.rho * PARAMETERS.sigma2 * (1 + 1e-12)


def test_the_bound_is_reached() -> None:
    """The claim is tight: a mechanism with less noise would break it."""
    nothing: list[tuple[int, ...]] = [(0, 0, 0)] * PARAMETERS.band
    worst = [(RADIUS, 0, 0), *nothing[1:]]
    moved = sum(
        (a - b) ** 2
        for y, other in zip(release(worst, 1), release(nothing, 1), strict=True)
        for a, b in zip(y, other, strict=True)
    )

    assert moved == RADIUS**2 * sum(c * c for c in PARAMETERS.coefficients)
