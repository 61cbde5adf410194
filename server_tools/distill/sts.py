"""Pairs of sentences with a person's score, for measuring only; nothing here is learnt from."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import ConfigError


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    """Sentences side by side, and how alike people found them."""

    name: str
    left: tuple[str, ...]
    right: tuple[str, ...]
    scores: tuple[float, ...]


def read(path: Path) -> Pairs:
    """Read tab-separated `score sentence1 sentence2` with a header line.

    Raises:
        ConfigError: no such file, or a line of another form.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()[1:]
    except OSError as error:
        raise ConfigError(
            f"cannot read the pairs {path}: {error.strerror}",
            hint="a file of tab-separated score, sentence1, sentence2 is needed",
        ) from error
    scores, left, right = [], [], []
    for number, line in enumerate(lines, start=2):
        parts = line.split("\t")
        try:
            score, first, second = float(parts[0]), parts[1], parts[2]
        except (ValueError, IndexError):
            raise ConfigError(
                f"{path.name} line {number} is not 'score<TAB>text<TAB>text'"
            ) from None
        scores.append(score)
        left.append(first)
        right.append(second)
    if not scores:
        raise ConfigError(f"{path.name} has no pairs")
    return Pairs(name=path.stem, left=tuple(left), right=tuple(right), scores=tuple(scores))


def spearman(pairs: Pairs, encode: Callable[[Sequence[str]], Any]) -> float:
    """Rank correlation of cosine and score; `encode` gives unit rows (n, width)."""
    distinct = sorted(set(pairs.left) | set(pairs.right))
    row = {text: index for index, text in enumerate(distinct)}
    vectors = np.asarray(encode(distinct), dtype=np.float64)
    left = vectors[[row[text] for text in pairs.left]]
    right = vectors[[row[text] for text in pairs.right]]
    return rank_correlation((left * right).sum(1), np.asarray(pairs.scores))


def rank_correlation(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    """Spearman's rho, ties given their mean rank.

    >>> round(rank_correlation(np.array([1.0, 2, 3]), np.array([1.0, 3, 3])), 4)
    0.866
    """
    return float(np.corrcoef(_ranks(first), _ranks(second))[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    middle: NDArray[np.float64] = ends - (counts - 1) / 2
    return middle[inverse]
