"""Wiener shrinkage against its formula, and at both of its ends."""

from dataclasses import replace

import numpy as np
import pytest

from ondevice.errors import NotReadyError
from ondevice.formats.space import DecoderNetwork, Space
from ondevice.privacy.decoder import F64, Decoded
from ondevice.profile.release import profile

D = 6


def make_space() -> Space:
    generator = np.random.default_rng(5)

    def covariance() -> NDArray32:
        root = generator.standard_normal((D, D)) / 4
        return (root @ root.T).astype(np.float32)

    return Space(
        name="test",
        encoder="0" * 64,
        centre=np.zeros(D, dtype=np.float32),
        projection=np.eye(D, dtype=np.float32),
        half_life=16,
        temperature=7.0,
        mean=(generator.standard_normal(D) / 5).astype(np.float32),
        between=covariance(),
        within=covariance(),
    )


NDArray32 = np.ndarray[tuple[int, ...], np.dtype[np.float32]]


def heard(v: F64, steps: int = 20, noise: float = 2.0) -> Decoded:
    beta = 0.5 ** (1 / 16)
    return Decoded(
        v=v,
        steps=steps,
        beta=beta,
        noise_variance=noise if steps else 0.0,
        weight_sum=sum(beta**k for k in range(steps)),
        weight_square_sum=sum(beta ** (2 * k) for k in range(steps)),
    )


def some_v() -> F64:
    return np.random.default_rng(6).standard_normal(D) * 3


@pytest.mark.parametrize("weight_mean", [0.3, 0.6, 1.0])
def test_the_formula(weight_mean: float) -> None:
    space, decoded = make_space(), heard(some_v())
    s = weight_mean * decoded.weight_sum
    m0 = space.mean.astype(np.float64)
    p = s**2 * space.between.astype(np.float64)
    p += decoded.weight_square_sum * space.within.astype(np.float64)
    expected = s * m0 + p @ np.linalg.inv(p + 2.0 * np.eye(D)) @ (decoded.v - s * m0)

    got = profile(decoded, space, weight_mean=weight_mean)

    assert got.u == pytest.approx(expected / s, abs=1e-10)


def test_a_profile_is_linear_in_what_was_released() -> None:
    space = make_space()
    got = profile(heard(some_v()), space)
    other = profile(heard(2 * some_v()), space)

    assert got.u == pytest.approx(got.prior + got.gain @ got.v, abs=1e-12)
    assert other.gain.tobytes() == got.gain.tobytes()
    assert other.prior.tobytes() == got.prior.tobytes()


def test_before_the_first_step_it_is_the_typical_user() -> None:
    space = make_space()
    got = profile(heard(np.zeros(D), steps=0), space)

    assert got.u.tolist() == space.mean.astype(np.float64).tolist()
    assert (got.steps, got.noise_std, got.temperature) == (0, 0.0, 7.0)
    assert not got.gain.any()


def test_without_noise_it_is_the_weighted_mean_of_the_steps() -> None:
    decoded = heard(some_v(), noise=0.0)
    got = profile(decoded, make_space(), weight_mean=0.5)

    assert got.u == pytest.approx(decoded.v / (0.5 * decoded.weight_sum))
    assert got.prior == pytest.approx(np.zeros(D), abs=1e-12)


def test_in_overwhelming_noise_it_stays_the_typical_user() -> None:
    space = make_space()
    got = profile(heard(some_v(), noise=1e12), space)

    assert got.u == pytest.approx(space.mean.astype(np.float64), abs=1e-6)
    assert got.noise_std == pytest.approx(1e6)


def test_statistics_that_dip_below_zero_by_rounding_do_no_harm() -> None:
    space = replace(make_space(), between=-1e-7 * np.eye(D, dtype=np.float32))
    space = replace(space, within=np.zeros((D, D), dtype=np.float32))
    got = profile(heard(some_v(), noise=1e-9), space)

    assert got.u == pytest.approx(space.mean.astype(np.float64))


def test_a_decoder_from_the_future_is_not_ignored() -> None:
    space = replace(make_space(), decoder=DecoderNetwork(weights={}))

    with pytest.raises(NotReadyError, match="decodes in a way") as caught:
        profile(heard(some_v()), space)
    assert "upgrade" in caught.value.hint
