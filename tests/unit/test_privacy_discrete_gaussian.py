"""The sampler's building blocks and edges. Its law is tested in tests/statistical."""

import random
from fractions import Fraction

import pytest

from ondevice.errors import ConfigError
from ondevice.privacy import discrete_gaussian
from ondevice.privacy.discrete_gaussian import sample
from ondevice.privacy.randomness import SystemRandomness


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


def test_draws_are_python_integers_in_the_number_asked_for() -> None:
    draws = sample(2**60, 7, SystemRandomness())

    assert len(draws) == 7
    assert all(type(z) is int for z in draws)
    assert sample(1, 0, SystemRandomness()) == []


def test_the_same_bits_give_the_same_draws_and_others_do_not() -> None:
    first, again, other = (sample(2**40, 20, Seeded(seed)) for seed in (1, 1, 2))

    assert first == again
    assert first != other


def test_low_bits_are_as_random_as_high_ones() -> None:
    """A rounded float would leave the low bits of large draws at zero."""
    draws = sample(2**140, 2000, Seeded(3))

    for bit in (0, 1, 5):
        assert 880 < sum(z >> bit & 1 for z in draws) < 1120


@pytest.mark.parametrize("variance", [0, -1, Fraction(-1, 2)])
def test_a_variance_that_is_not_positive_is_refused(variance: int | Fraction) -> None:
    with pytest.raises(ConfigError, match="positive"):
        sample(variance, 1, SystemRandomness())


def test_undecided_comparisons_go_on_to_the_next_word() -> None:
    words = iter([2**63, 0, 2**63, 2**64 - 1])

    # u = 0.1000..., p/q = 1/2 + 1/(3 * 2^64): only the second word decides.
    p, q = 3 * 2**63 + 1, 3 * 2**64
    assert discrete_gaussian._bernoulli(p, q, words.__next__) is True
    assert discrete_gaussian._bernoulli(p, q, words.__next__) is False


def test_certain_and_impossible_events() -> None:
    word = iter([0] * 4 + [2**64 - 1] * 4).__next__

    assert discrete_gaussian._bernoulli(5, 5, word) is True
    assert discrete_gaussian._bernoulli(0, 5, word) is False
