"""Where a run is, which texts come next and at what rate. Pure: a function of the position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from server_tools.recipe import TrainingRecipe


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """The next batch to learn from: pass over the pool, chunk of the pass, batch of the chunk."""

    epoch: int = 0
    chunk: int = 0
    batch: int = 0
    views: int = 0  # texts seen before it


def rate(views: int, recipe: TrainingRecipe) -> float:
    """The learning rate after `views` texts: a rise, a plateau, a half-cosine down to zero."""
    rise = min(1.0, (views + recipe.batch) / max(1, recipe.warm_up))
    left = (recipe.views - views) / max(1, recipe.decay)
    fall = 1.0 if left >= 1.0 else 0.5 - 0.5 * float(np.cos(np.pi * max(0.0, left)))
    return recipe.rate * rise * fall


def chunk_rows(
    position: Position,
    *,
    texts: int,
    size: int,
    seed: int,
    families: NDArray[np.int64] | None = None,
) -> NDArray[np.int64]:
    """The pool's rows in this chunk; the first pass keeps the pool's order, all keep `families`."""
    order = np.arange(texts, dtype=np.int64)
    if position.epoch and families is not None:
        rank = np.random.default_rng([seed, position.epoch]).permutation(int(families.max()) + 1)
        order = order[np.argsort(rank[families], kind="stable")]
    elif position.epoch:
        order = np.random.default_rng([seed, position.epoch]).permutation(order)
    return order[position.chunk * size : (position.chunk + 1) * size]


def batches(
    rows: NDArray[np.int64],
    lengths: Sequence[int],
    position: Position,
    *,
    size: int,
    seed: int,
    families: NDArray[np.int64] | None = None,
    domains: NDArray[np.int64] | None = None,
) -> list[NDArray[np.int64]]:
    """Cut a chunk into batches of similar length, in shuffled order.

    `lengths` are the token counts of the texts at `rows`, in the same order, and so are
    `families`, which stay together, and `domains`: every other chunk a batch is of one domain.
    """
    rng = np.random.default_rng([seed, position.epoch, position.chunk, 1])
    if families is not None and domains is not None and len(domains):
        return _grouped(rows, np.asarray(lengths), families, domains, position, size=size, rng=rng)
    jitter = np.asarray(lengths) + rng.random(len(rows))
    ordered = rows[np.argsort(jitter, kind="stable")]
    cut = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [cut[index] for index in rng.permutation(len(cut))]


def _grouped(
    rows: NDArray[np.int64],
    lengths: NDArray[np.int64],
    families: NDArray[np.int64],
    domains: NDArray[np.int64],
    position: Position,
    *,
    size: int,
    rng: np.random.Generator,
) -> list[NDArray[np.int64]]:
    _, family = np.unique(families, return_inverse=True)
    longest = np.zeros(family.max() + 1)
    np.maximum.at(longest, family, lengths)
    jitter = (longest + rng.random(len(longest)))[family]
    by_domain = (position.epoch + position.chunk) % 2
    ordered = rows[np.lexsort((lengths, family, jitter, domains * by_domain))]
    cut = [ordered[start : start + size] for start in range(0, len(ordered), size)]
    return [cut[index] for index in rng.permutation(len(cut))]


def after(position: Position, *, seen: int, batches_in_chunk: int, chunks: int) -> Position:
    """The position once a batch of `seen` texts is done."""
    epoch, chunk, batch = position.epoch, position.chunk, position.batch + 1
    if batch == batches_in_chunk:
        chunk, batch = chunk + 1, 0
    if chunk == chunks:
        epoch, chunk = epoch + 1, 0
    return Position(epoch=epoch, chunk=chunk, batch=batch, views=position.views + seen)
