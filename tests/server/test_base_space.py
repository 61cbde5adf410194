"""The base space keeps what tells items of one catalogue apart, and is the same every time."""

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from ondevice.domain import Item
from ondevice.errors import ConfigError, IntegrityError
from ondevice.formats import space as spaces
from ondevice.formats.tensors import F32
from ondevice.paths import bundled
from server_tools.head import command
from server_tools.head.base_space import BaseRecipe, Sample, components, fit, people

WIDTH = 24
RECIPE = BaseRecipe(dimension=6, people=400)
KINDS = ("red", "green", "blue")


def samples(catalogues: int = 3, each: int = 60) -> list[Sample]:
    """Catalogues far apart on axes 0-2, with kinds that differ on axes 10-12."""
    generator = np.random.default_rng(11)
    made = []
    for catalogue in range(catalogues):
        items = [Item(id=str(n), title=f"thing {n}", category=KINDS[n % 3]) for n in range(each)]
        dense = 0.15 * generator.normal(size=(each, WIDTH))
        dense[:, catalogue] += 3.0
        dense[np.arange(each), 10 + np.arange(each) % 3] += 1.0
        made.append(Sample(items=items, vectors=unit(dense)))
    return made


def unit(dense: np.ndarray) -> F32:
    return np.asarray(dense / np.linalg.norm(dense, axis=1, keepdims=True), dtype=np.float32)


def test_the_same_samples_give_the_same_space() -> None:
    first, again = (fit(samples(), encoder="ab" * 32, recipe=RECIPE) for _ in range(2))
    other = fit(samples(), encoder="ab" * 32, recipe=BaseRecipe(dimension=6, people=400, seed=1))
    assert first.digest == again.digest != other.digest
    assert (first.dimension, first.half_life, first.decoder) == (6, 64, None)


def test_what_tells_catalogues_apart_is_gone() -> None:
    made = samples()
    space = fit(made, encoder="ab" * 32, recipe=RECIPE)
    means = [(sample.vectors - space.centre) @ space.projection.T for sample in made]
    apart = np.stack([rows.mean(axis=0) for rows in means])
    spread = np.concatenate([rows - rows.mean(axis=0) for rows in means]).std()
    assert np.abs(apart).max() < 1e-3 * spread


def test_what_tells_kinds_apart_leads() -> None:
    centre, projection = components(samples(), recipe=RECIPE)
    assert centre.shape == (WIDTH,)
    leading = projection[:2] / np.linalg.norm(projection[:2], axis=1, keepdims=True)
    assert (leading[:, 10:13] ** 2).sum(axis=1).min() > 0.8


def test_rows_of_the_projection_are_orthogonal_and_their_signs_are_fixed() -> None:
    for whitening in (0.0, 0.5):
        _, projection = components(samples(), recipe=BaseRecipe(dimension=6, whitening=whitening))
        gram = projection @ projection.T
        assert np.abs(gram - np.diag(np.diag(gram))).max() < 1e-8 * gram.max()
        largest = np.abs(projection).argmax(axis=1)
        assert (projection[np.arange(6), largest] > 0).all()


def test_without_whitening_the_projection_is_orthonormal() -> None:
    _, projection = components(samples(), recipe=BaseRecipe(dimension=6, whitening=0.0))
    np.testing.assert_allclose(projection @ projection.T, np.eye(6), atol=1e-9)


def test_statistics_tell_people_from_chance() -> None:
    made = samples()
    space = fit(made, encoder="ab" * 32, recipe=RECIPE)
    whims = BaseRecipe(dimension=6, people=400, whims=1.0)
    random = people(made, space, recipe=whims)
    between, within = space.between.astype(np.float64), space.within.astype(np.float64)
    assert np.linalg.eigvalsh(between).min() > -1e-6
    assert np.linalg.eigvalsh(within).min() > 0
    assert np.trace(between) > 5 * np.trace(random.between)
    # A unit step is its mean and what varies around it.
    total = np.trace(between) + np.trace(within) + float(space.mean @ space.mean)
    assert total == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize(("catalogues", "each", "dimension"), [(1, 60, 6), (3, 60, 23), (2, 4, 9)])
def test_too_little_to_learn_from_is_refused(catalogues: int, each: int, dimension: int) -> None:
    with pytest.raises(ConfigError):
        fit(samples(catalogues, each), encoder="ab" * 32, recipe=BaseRecipe(dimension=dimension))


def test_the_shipped_space_is_what_the_samples_give(tmp_path: Path) -> None:
    run = CliRunner().invoke(command.base_space, ["--out", str(tmp_path / "space")])
    assert run.exit_code == 0, run.output
    made, shipped = spaces.read(tmp_path / "space"), spaces.read(bundled("space"))
    assert made.encoder == shipped.encoder
    # Another processor may round otherwise: the same directions, not the same bits.
    alike = np.abs((made.projection * shipped.projection).sum(axis=1))
    lengths = np.linalg.norm(made.projection, axis=1) * np.linalg.norm(shipped.projection, axis=1)
    assert (alike / lengths).min() > 0.99


def test_the_check_tells_another_space(tmp_path: Path) -> None:
    folder = tmp_path / "catalogues"
    folder.mkdir()
    run = CliRunner().invoke(command.base_space, ["--catalogues", str(folder)])
    assert isinstance(run.exception, ConfigError)
    spaces.write(fit(samples(), encoder="ab" * 32, recipe=RECIPE), tmp_path / "space")
    check = CliRunner().invoke(command.base_space, ["--out", str(tmp_path / "space"), "--check"])
    assert isinstance(check.exception, IntegrityError)
    assert "demo-bundle" in check.exception.hint
