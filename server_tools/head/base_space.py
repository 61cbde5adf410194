"""The base space: directions in which things of one catalogue differ, and what people are like.

It is fitted on the sample catalogues alone, so it ships and needs nobody's history. A stream's
noise costs the same in every direction, so a direction is kept only if it tells two items of *one*
catalogue apart. What tells catalogues apart ("is a film") is removed: it is the same for all items
of a list, and would use up the length that a step may have. Choices and figures: ADR 0003.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice.domain import Item
from ondevice.errors import ConfigError
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32

F64 = NDArray[np.float64]
I64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaseRecipe:
    """Everything that decides the base space besides the encoder and the catalogues."""

    name: str = "base"
    dimension: int = 48
    whitening: float = 0.0  # exponent: 0 keeps the spread of the texts, 0.5 evens it out
    half_life: int = 64  # steps
    temperature: float = 10.0  # scores read as tenths of a cosine
    people: int = 3000  # simulated
    shortest: int = 20  # behaviours of a simulated person, at least
    longest: int = 80  # and at most
    fewest_topics: int = 2  # categories that a simulated person likes, at least
    most_topics: int = 4  # and at most
    whims: float = 0.2  # share of behaviours that have nothing to do with those
    seed: int = 0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Sample:
    """One catalogue to fit on: n items and their encoder vectors."""

    items: Sequence[Item]
    vectors: F32  # (n, e), unit rows


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Statistics:
    """Typical people in a space of dimension d; see `Space`."""

    mean: F64  # (d,)
    between: F64  # (d, d)
    within: F64  # (d, d)


def fit(samples: Sequence[Sample], *, encoder: str, recipe: BaseRecipe | None = None) -> Space:
    """Return the base space of `samples`; the same input gives the same space.

    Args:
        samples: at least two catalogues.
        encoder: digest of the encoder that made the vectors, hex.
        recipe: choices; the shipped ones by default.

    Raises:
        ConfigError: the catalogues hold too little for the dimension.
    """
    recipe = recipe or BaseRecipe()
    centre, projection = components(samples, recipe=recipe)
    bare = Space(
        name=recipe.name,
        encoder=encoder,
        centre=centre.astype(np.float32),
        projection=projection.astype(np.float32),
        half_life=recipe.half_life,
        temperature=recipe.temperature,
        mean=np.zeros(recipe.dimension, dtype=np.float32),
        between=np.eye(recipe.dimension, dtype=np.float32),
        within=np.eye(recipe.dimension, dtype=np.float32),
    )
    found = people(samples, bare, recipe=recipe)
    return Space(
        name=bare.name,
        encoder=bare.encoder,
        centre=bare.centre,
        projection=bare.projection,
        half_life=bare.half_life,
        temperature=bare.temperature,
        mean=found.mean.astype(np.float32),
        between=found.between.astype(np.float32),
        within=found.within.astype(np.float32),
    )


def components(samples: Sequence[Sample], *, recipe: BaseRecipe) -> tuple[F64, F64]:
    """Return the centre (e,) and the projection (d, e).

    The centre is the mean of the catalogues' means, so that a large catalogue counts no more than
    a small one. The rows of the projection are the leading eigenvectors of the pooled covariance
    within catalogues, outside the span of the differences between catalogues, each divided by its
    standard deviation to the power of twice `whitening`.

    Raises:
        ConfigError: the catalogues hold too little for the dimension.
    """
    if len(samples) < 2:
        raise ConfigError("the base space needs at least two catalogues to tell apart")
    vectors = [sample.vectors.astype(np.float64) for sample in samples]
    means = np.stack([rows.mean(axis=0) for rows in vectors])
    centre = means.mean(axis=0)
    deviations = [rows - mean for rows, mean in zip(vectors, means, strict=True)]
    pooled = sum((rows.T @ rows / len(rows) for rows in deviations), np.zeros((1, 1)))
    pooled /= len(samples)
    apart = np.linalg.svd(means - centre, full_matrices=False)[2][: len(samples) - 1]
    keep = np.eye(len(centre)) - apart.T @ apart
    values, directions = np.linalg.eigh(keep @ pooled @ keep)
    values, directions = values[::-1][: recipe.dimension], directions[:, ::-1].T[: recipe.dimension]
    items = sum(len(rows) for rows in vectors)
    if len(values) < recipe.dimension or values[-1] < values[0] * 1e-6 or items < recipe.dimension:
        raise ConfigError(
            f"{items} items in {len(samples)} catalogues are too few for {recipe.dimension} "
            "dimensions",
            hint="add items, or choose a smaller dimension",
        )
    largest = np.abs(directions).argmax(axis=1)
    signs = np.sign(directions[np.arange(len(directions)), largest])  # else chance decides
    return centre, directions * (signs * values**-recipe.whitening)[:, None]


def people(samples: Sequence[Sample], space: Space, *, recipe: BaseRecipe) -> Statistics:
    """Return the statistics of simulated people whose items are in `space`.

    Each likes a few categories of any catalogues, picks items of those, and sometimes any item.
    The covariance between people is that of their mean steps less what chance adds to a mean.
    """
    vectors = space.project(np.concatenate([s.vectors for s in samples])).astype(np.float64)
    topics = topics_of(samples)
    generator = np.random.default_rng(recipe.seed)
    d = space.dimension
    means, within, chance = np.empty((recipe.people, d)), np.zeros((d, d)), 0.0
    for person in range(recipe.people):
        steps = vectors[history(topics, len(vectors), generator, recipe)]
        means[person] = steps.mean(axis=0)
        around = steps - means[person]
        within += around.T @ around / (len(steps) - 1)
        chance += 1 / len(steps)
    within /= recipe.people
    between = np.cov(means.T) - within * (chance / recipe.people)
    values, directions = np.linalg.eigh(between)
    return Statistics(
        mean=means.mean(axis=0),
        between=(directions * np.maximum(values, 0.0)) @ directions.T,
        within=within,
    )


def topics_of(samples: Sequence[Sample]) -> list[I64]:
    """Return the rows of each category of each catalogue, all catalogues behind one another."""
    labels = [(n, item.category) for n, sample in enumerate(samples) for item in sample.items]
    names = {label: k for k, label in enumerate(dict.fromkeys(labels))}
    member = np.array([names[label] for label in labels])
    return [np.flatnonzero(member == k) for k in range(len(names))]


def history(
    topics: Sequence[I64],
    items: int,
    generator: np.random.Generator,
    recipe: BaseRecipe,
    *,
    length: int | None = None,
) -> I64:
    """Return the rows that one simulated person chose, as many as `length` or by chance."""
    if length is None:
        length = int(generator.integers(recipe.shortest, recipe.longest + 1))
    wanted = int(generator.integers(recipe.fewest_topics, recipe.most_topics + 1))
    liked = generator.permutation(len(topics))[:wanted]
    turns = generator.integers(len(liked), size=length)
    whims = generator.random(length) < recipe.whims
    anything = generator.integers(items, size=length)
    chosen = np.empty(length, dtype=np.int64)
    for turn in range(len(liked)):
        at = np.flatnonzero(turns == turn)
        chosen[at] = generator.choice(topics[liked[turn]], size=len(at))
    return np.where(whims, anything, chosen)
