"""Metrics against values worked out by hand."""

import math

import numpy as np
import pytest

from ondevice.ranking import metrics

RANKED = [7, 3, 9, 1, 4]


def test_ndcg() -> None:
    found = 1 / math.log2(3) + 1 / math.log2(5)  # places 2 and 4
    ideal = 1 + 1 / math.log2(3) + 1 / math.log2(4)

    assert metrics.ndcg(RANKED, {3, 1, 100}, 5) == pytest.approx(found / ideal)
    assert metrics.ndcg(RANKED, {3, 1, 100}, 2) == pytest.approx(
        (1 / math.log2(3)) / (1 + 1 / math.log2(3))
    )
    assert metrics.ndcg(RANKED, {7}, 1) == 1.0
    assert metrics.ndcg(RANKED, set(), 5) == 0.0


def test_hit_rate() -> None:
    assert metrics.hit_rate(RANKED, {9, 50}, 3) == 1.0
    assert metrics.hit_rate(RANKED, {9, 50}, 2) == 0.0


def test_recall() -> None:
    assert metrics.recall(RANKED, {9, 50, 7, 4}, 3) == 0.5
    assert metrics.recall(RANKED, set(), 3) == 0.0


def test_coverage() -> None:
    assert metrics.coverage([[1, 2], [2, 3]], 6) == 0.5
    assert metrics.coverage([], 0) == 0.0


def test_novelty() -> None:
    # Counts plus one: 4, 2, 1, 1 of 8, so 1, 2, 3 and 3 bits.
    assert metrics.novelty([0, 2], np.array([3, 1, 0, 0])) == pytest.approx(2.0)
    assert metrics.novelty([], np.array([3, 1])) == 0.0


def test_diversity() -> None:
    same, other = [1.0, 0.0], [0.0, 1.0]

    assert metrics.diversity(np.array([same, same])) == pytest.approx(0.0)
    assert metrics.diversity(np.array([same, same, other])) == pytest.approx(2 / 3)
    assert metrics.diversity(np.array([same])) == 0.0
