"""A release that goes on in another space, and how full the rows of a clock are taken to be."""

import numpy as np
import pytest

from ondevice.formats import space as spaces
from ondevice.formats.space import Space
from ondevice.paths import bundled
from ondevice.privacy.decoder import Decoded
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import simulate
from ondevice.profile.activity import LEVELS, mean_weight
from ondevice.profile.carry import FEWEST, carried, fit


@pytest.fixture(scope="module")
def space() -> Space:
    return spaces.read(bundled("space"))


def made(v: list[float], *, steps: int, noise: float) -> Decoded:
    beta = 2.0 ** (-1 / 4)
    return Decoded(
        v=np.array(v),
        steps=steps,
        beta=beta,
        noise_variance=noise,
        weight_sum=(1 - beta**steps) / (1 - beta),
        weight_square_sum=(1 - beta ** (2 * steps)) / (1 - beta * beta),
    )


def test_a_map_between_bases_of_one_space_is_found() -> None:
    rng = np.random.default_rng(1)
    old = rng.standard_normal((200, 6))
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    found = fit(old, old @ rotation.T)
    assert found is not None
    np.testing.assert_allclose(found, rotation, atol=5e-3)


def test_a_map_may_change_the_dimension_and_leaves_out_what_nothing_shows() -> None:
    rng = np.random.default_rng(2)
    old = rng.standard_normal((300, 5))
    old[:, 4] = 0.0
    found = fit(old, old[:, :3])
    assert found is not None
    assert found.shape == (3, 5)
    np.testing.assert_allclose(found, np.eye(3, 5), atol=5e-3)


@pytest.mark.parametrize("count", [0, 1, FEWEST - 1])
def test_too_few_items_give_no_map(count: int) -> None:
    assert fit(np.ones((count, 3)), np.ones((count, 3))) is None
    assert fit(np.ones((FEWEST, 3)), np.ones((FEWEST + 1, 3))) is None


def test_what_goes_on_fades_like_everything_else() -> None:
    """A carried stream and one that never ended hold the same sum, with the same weights."""
    whole = made([8.0, 2.0], steps=7, noise=0.0)
    first = made([8.0 * 2, 2.0 * 2], steps=3, noise=0.5)  # four rows, one half-life, earlier
    together = carried(made([0.0, 0.0], steps=4, noise=0.25), first, None)
    np.testing.assert_allclose(together.v, whole.v)
    assert together.steps == whole.steps
    assert together.weight_sum == pytest.approx(whole.weight_sum)
    assert together.weight_square_sum == pytest.approx(whole.weight_square_sum)
    assert together.noise_variance == pytest.approx(0.25 + 0.5 / 4)


def test_a_map_carries_the_noise_as_well() -> None:
    mapping = np.array([[0.0, 2.0]])
    together = carried(
        made([1.0], steps=0, noise=0.0), made([3.0, 5.0], steps=2, noise=1.0), mapping
    )
    np.testing.assert_allclose(together.v, [1.0 + 10.0])
    assert together.noise_variance == pytest.approx(4.0)


@pytest.mark.parametrize(("share", "low", "high"), [(1.0, 0.25, 1.0), (1 / 32, 0.0, 0.12)])
def test_full_rows_and_empty_ones_are_told_apart(
    space: Space, share: float, low: float, high: float
) -> None:
    """Of 256 rows, all or a few hold a behaviour: the release says which it was."""
    p = StreamParameters.for_budget(4.0, 1e-6, space.dimension)
    rng, guesses = np.random.default_rng(4), []
    for _ in range(8):
        steps = np.zeros((256, space.dimension), dtype=np.int64)
        full = np.flatnonzero(rng.random(256) < share)
        taste = rng.multivariate_normal(space.mean, space.between)
        each = rng.multivariate_normal(taste, space.within, size=len(full))
        each /= np.maximum(1.0, np.linalg.norm(each, axis=1, keepdims=True))
        steps[full] = np.trunc(0.6 * each * p.grid).astype(np.int64)
        z = simulate.noise(p.sigma2, steps.shape, rng)
        v = simulate.values(p, steps, z)
        guesses.append(mean_weight(simulate.decoded(p, v, 256), space))
    assert low <= float(np.median(guesses)) <= high


def test_the_guess_is_a_function_of_what_was_released(space: Space) -> None:
    p = StreamParameters.for_budget(4.0, 1e-6, space.dimension)
    v = np.random.default_rng(6).standard_normal(space.dimension)
    one, other = (simulate.decoded(p, v.copy(), 100) for _ in range(2))
    assert mean_weight(one, space) == mean_weight(other, space)
    assert LEVELS[-1] <= mean_weight(one, space) <= LEVELS[0]
    nothing = simulate.decoded(p, np.zeros(space.dimension), 0)
    assert mean_weight(nothing, space) == LEVELS[0]
