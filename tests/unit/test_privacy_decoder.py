"""Decoding inverts the stream exactly, and states what the noise is."""

import math
import random
from collections.abc import Sequence

import numpy as np
import pytest

from ondevice.errors import FormatError, IntegrityError
from ondevice.privacy.decoder import (
    StreamState,
    advance,
    beta_of,
    decode,
    noise_series,
    noise_variance,
    read_out,
)
from ondevice.privacy.stream import StreamParameters

DELTA = 1e-6


def noiseless(p: StreamParameters, steps: Sequence[Sequence[int]]) -> list[tuple[int, ...]]:
    """The rows of a stream whose noise is zero."""
    rows = []
    for t in range(len(steps)):
        band = [steps[t - k] for k in range(min(p.band, t + 1))]
        columns = zip(*band, strict=True)
        c = p.coefficients[: len(band)]
        rows.append(tuple(sum(a * x for a, x in zip(c, col, strict=True)) for col in columns))
    return rows


@pytest.fixture(params=[(1, None), (4, None), (16, None), (16, 40), (64, 16)])
def parameters(request: pytest.FixtureRequest) -> StreamParameters:
    half_life, band = request.param
    return StreamParameters.for_budget(4.0, DELTA, 3, half_life=half_life, band=band)


def test_without_noise_the_decayed_sum_comes_back(parameters: StreamParameters) -> None:
    source = random.Random(1)
    steps = [[source.randint(-9000, 9000) for _ in range(3)] for _ in range(150)]
    decoded = decode(parameters, noiseless(parameters, steps))
    ages = np.arange(149, -1, -1)
    expected = half_life_beta(parameters) ** ages @ np.array(steps) / 2**14

    assert decoded.v == pytest.approx(expected, abs=1e-10)
    assert decoded.steps == 150


def half_life_beta(p: StreamParameters) -> float:
    return float(0.5 ** (1 / p.half_life))


def test_one_unit_of_noise_spreads_as_the_series_says(parameters: StreamParameters) -> None:
    state = StreamState.start(parameters)
    series = noise_series(parameters.coefficients, parameters.half_life)
    for k in range(60 if parameters.half_life > 1 else 40):
        state = advance(parameters, state, [1 if k == 0 else 0, 0, 0])

        assert state.v == pytest.approx([series[k], 0, 0], rel=1e-9, abs=1e-20)


def test_stated_variance_is_that_of_the_series(parameters: StreamParameters) -> None:
    series = noise_series(parameters.coefficients, parameters.half_life)
    scale = parameters.sigma2 / 2**28

    assert noise_variance(parameters, 0) == 0.0
    assert noise_variance(parameters, 1) == pytest.approx(scale / 2**28)
    assert noise_variance(parameters, 20) == pytest.approx(scale * sum(series[:20] ** 2))
    assert noise_variance(parameters, 10**9) == pytest.approx(scale * sum(series**2))


def test_the_series_is_cut_where_nothing_is_left_of_it(parameters: StreamParameters) -> None:
    series = noise_series(parameters.coefficients, parameters.half_life)

    assert abs(series[-1]) < 1e-13 * series[0]
    assert not series.flags.writeable


@pytest.mark.parametrize(("half_life", "factor"), [(16, 1.70), (64, 2.11), (256, 2.55)])
def test_noise_over_one_single_release(half_life: int, factor: float) -> None:
    """PRIVACY.md 3: the price of releasing for ever, and 2 % for the band."""
    p = StreamParameters.for_budget(4.0, DELTA, 1, half_life=half_life)
    single = 1 / (2 * p.rho)  # variance of one release of a vector of norm 1 at this rho
    ours = math.sqrt(noise_variance(p, 100 * half_life) / single)

    assert factor < ours < factor * 1.03


def test_sums_of_weights(parameters: StreamParameters) -> None:
    beta = half_life_beta(parameters)
    decoded = decode(parameters, [(0, 0, 0)] * 5)

    assert beta_of(parameters) == pytest.approx(beta)
    assert decoded.beta == pytest.approx(beta)
    assert decoded.weight_sum == pytest.approx(sum(beta**k for k in range(5)))
    assert decoded.weight_square_sum == pytest.approx(sum(beta ** (2 * k) for k in range(5)))


def test_an_empty_stream_says_nothing(parameters: StreamParameters) -> None:
    decoded = decode(parameters, [])

    assert decoded.v.tolist() == [0.0, 0.0, 0.0]
    assert (decoded.steps, decoded.weight_sum, decoded.noise_variance) == (0, 0.0, 0.0)


def test_a_row_of_another_dimension_is_refused(parameters: StreamParameters) -> None:
    with pytest.raises(IntegrityError, match="row has shape"):
        advance(parameters, StreamState.start(parameters), [1, 2])


def test_going_on_from_saved_bytes_changes_no_bit(parameters: StreamParameters) -> None:
    source = random.Random(2)
    rows = [[source.getrandbits(40) - 2**39 for _ in range(3)] for _ in range(100)]
    state = StreamState.start(parameters)
    for y in rows:
        state = StreamState.from_bytes(parameters, state.to_bytes(parameters))
        state = advance(parameters, state, y)

    assert read_out(parameters, state).v.tobytes() == decode(parameters, rows).v.tobytes()


def test_damaged_or_foreign_states_are_refused(parameters: StreamParameters) -> None:
    state = advance(parameters, StreamState.start(parameters), [1, 2, 3])
    blob = state.to_bytes(parameters)
    other = StreamParameters.for_budget(3.0, DELTA, 3, half_life=4)
    nan = np.array([np.nan], dtype="<f8").tobytes()

    for bad in (b"", blob[:-1], blob + b"\0", b"X" + blob[1:], blob[:-8] + nan):
        with pytest.raises(FormatError):
            StreamState.from_bytes(parameters, bad)
    with pytest.raises(FormatError):
        StreamState.from_bytes(other, blob)
