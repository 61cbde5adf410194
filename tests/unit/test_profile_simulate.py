"""The vectorised streams are the device's streams: same rows, same sums, same noise."""

import math
import random

import numpy as np
import pytest

from ondevice.errors import ConfigError
from ondevice.privacy import decoder, discrete_gaussian, stream
from ondevice.privacy.clipping import clip
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import simulate

T, D = 60, 5


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


def histories(users: int) -> simulate.I64:
    generator = np.random.default_rng(9)
    raw = generator.integers(-9000, 9000, (users, T, D))
    return np.array([[clip(step) for step in user] for user in raw.tolist()], dtype=np.int64)


@pytest.fixture(params=[1, 16, 64])
def parameters(request: pytest.FixtureRequest) -> StreamParameters:
    return StreamParameters.for_budget(4.0, 1e-6, D, half_life=request.param)


def test_rows_and_sums_are_those_of_the_device_for_the_same_noise(
    parameters: StreamParameters,
) -> None:
    steps = histories(3)
    for user in range(3):
        rows = []
        z = np.empty((T, D), dtype=np.int64)
        for t in range(T):
            band = steps[user, t::-1][: parameters.band].tolist()
            seed = 1000 * user + t
            rows.append(stream.row(parameters, band, Seeded(seed)))
            z[t] = discrete_gaussian.sample(parameters.sigma2, D, Seeded(seed))
        device = decoder.decode(parameters, rows)
        v = simulate.values(parameters, steps[user : user + 1], z[None])[0]

        assert simulate.released(parameters, steps[user], z).tolist() == [list(y) for y in rows]
        assert v == pytest.approx(device.v, rel=1e-11, abs=1e-11)
        got = simulate.decoded(parameters, v, T)
        assert got.noise_variance == device.noise_variance
        assert (got.weight_sum, got.weight_square_sum) == (
            device.weight_sum,
            device.weight_square_sum,
        )


def test_without_noise_only_the_decayed_sum_is_left(parameters: StreamParameters) -> None:
    steps = histories(4)
    rows = simulate.released(parameters, steps, np.zeros_like(steps))
    v = simulate.values(parameters, steps)
    for user in range(4):
        device = decoder.decode(parameters, rows[user].tolist())

        assert v[user] == pytest.approx(device.v, rel=1e-11, abs=1e-11)
    assert simulate.decoded(parameters, v[0], T, noisy=False).noise_variance == 0.0


def test_a_shorter_stream_is_one_that_starts_with_nothing(parameters: StreamParameters) -> None:
    steps = histories(1)
    z = simulate.noise(parameters.sigma2, steps.shape, np.random.default_rng(1))
    steps[:, :40], z[:, :40] = 0, 0

    whole = simulate.values(parameters, steps, z)
    assert whole == pytest.approx(simulate.values(parameters, steps[:, 40:], z[:, 40:]))


def test_noise_older_than_the_series_is_gone() -> None:
    p = StreamParameters.for_budget(4.0, 1e-6, 1, half_life=1)
    z = np.zeros((80, 1), dtype=np.int64)
    z[0] = 2**40

    assert simulate.values(p, np.zeros_like(z), z).tolist() == [0.0]


@pytest.mark.parametrize("sigma2", [1, 9, 400])
def test_small_noise_follows_the_exact_probabilities(sigma2: int) -> None:
    n = 200_000
    draws = simulate.noise(sigma2, (n,), np.random.default_rng(2))
    support = np.arange(-8 * math.isqrt(sigma2), 8 * math.isqrt(sigma2) + 1)
    weights = np.exp(-(support**2) / (2 * sigma2))
    expected = n * weights / weights.sum()
    seen = np.array([np.count_nonzero(draws == z) for z in support])
    cells = expected >= 10
    statistic = float((((seen - expected) ** 2 / expected)[cells]).sum())
    freedom = int(cells.sum()) - 1

    assert statistic < freedom + 4 * math.sqrt(2 * freedom)


def test_large_noise_has_the_stated_variance() -> None:
    draws = simulate.noise(2**58, (200_000,), np.random.default_rng(3)) / 2**29

    assert draws.var() == pytest.approx(1.0, abs=0.015)
    assert abs(draws.mean()) < 0.01


@pytest.mark.parametrize("sigma", [2, 5, 20, 60])
def test_the_stated_bound_on_rounding_holds_where_it_can_be_computed(sigma: int) -> None:
    """Total variation between the rounded and the discrete Gaussian, term by term."""
    support = range(-12 * sigma, 12 * sigma + 1)
    total = sum(math.exp(-z * z / (2 * sigma**2)) for z in support)
    edge = 1 / (sigma * math.sqrt(2))
    distance = 0.0
    for z in support:
        rounded = (math.erf((z + 0.5) * edge) - math.erf((z - 0.5) * edge)) / 2
        distance += abs(rounded - math.exp(-z * z / (2 * sigma**2)) / total) / 2

    assert 1 / (60 * sigma**2) < distance < 1 / (40 * sigma**2)


@pytest.mark.parametrize("variance", [0, -1, 2**112])
def test_impossible_noise_is_refused(variance: int) -> None:
    with pytest.raises(ConfigError, match="simulate"):
        simulate.noise(variance, (1,), np.random.default_rng(4))


def test_thousands_of_streams_have_the_noise_that_the_device_states() -> None:
    p = StreamParameters.for_budget(4.0, 1e-6, 8, half_life=16)
    steps = np.zeros((500, 100, 8), dtype=np.int64)
    v = simulate.values(p, steps, simulate.noise(p.sigma2, steps.shape, np.random.default_rng(5)))

    assert v.var() == pytest.approx(decoder.noise_variance(p, 100), rel=4 * math.sqrt(2 / 4000))
