"""Scores by hand, and an order that never depends on chance."""

import numpy as np
import pytest

from ondevice.formats.tensors import Codes
from ondevice.ranking.score import cosines, scores, top_k


def test_scores_are_scaled_cosines_plus_bias() -> None:
    codes = Codes.quantize(np.array([[1, 0], [0, 1], [3, 4], [0, 0]], dtype=np.float32))
    bias = np.array([0.0, 0.5, 0.0, -1.0], dtype=np.float32)

    got = scores(np.array([2.0, 1.0]), codes.values, codes.inverse_norms, bias, 10.0)

    assert got == pytest.approx([20.0, 10.5, 10 * (2 * 0.6 + 0.8), -1.0], abs=0.05)


def test_blocks_make_no_difference() -> None:
    generator = np.random.default_rng(1)
    codes = Codes.quantize(generator.standard_normal((9001, 8)).astype(np.float32))
    bias = generator.standard_normal(9001).astype(np.float32)
    u = generator.standard_normal(8)

    got = scores(u, codes.values, codes.inverse_norms, bias, 3.0)

    assert got == pytest.approx(3.0 * codes.unit().astype(np.float64) @ u + bias, abs=1e-5)
    assert len(scores(u, codes.values[:0], codes.inverse_norms[:0], bias[:0], 3.0)) == 0


def test_cosines_of_an_item_with_itself_and_with_nothing() -> None:
    codes = Codes.quantize(np.array([[1, 2], [2, 4], [-2, 1], [0, 0]], dtype=np.float32))

    got = cosines(0, codes.values, codes.inverse_norms)

    assert got == pytest.approx([1.0, 1.0, 0.0, 0.0], abs=0.01)
    assert cosines(3, codes.values, codes.inverse_norms).tolist() == [0.0] * 4


def test_equal_scores_come_in_the_order_of_their_rows() -> None:
    values = np.array([1.0, 3.0, 2.0, 3.0, 2.0, 2.0])

    assert top_k(values, 4).tolist() == [1, 3, 2, 4]
    assert top_k(values, 1).tolist() == [1]
    assert top_k(values, 99).tolist() == [1, 3, 2, 4, 5, 0]


def test_excluded_rows_are_left_out_and_unknown_ones_ignored() -> None:
    values = np.array([1.0, 3.0, 2.0, -np.inf])

    assert top_k(values, 2, {1}).tolist() == [2, 0]
    assert top_k(values, 3, {1, 99, -1}).tolist() == [2, 0]
    assert top_k(values, 0).tolist() == []
    assert top_k(values, 2, range(4)).tolist() == []


def test_the_best_rows_are_those_of_a_full_sort() -> None:
    generator = np.random.default_rng(2)
    values = generator.integers(0, 40, 500).astype(np.float64)
    exclude = set(generator.integers(0, 500, 60).tolist())
    order = [i for i in sorted(range(500), key=lambda i: (-values[i], i)) if i not in exclude]

    for k in (1, 10, 200, 440):
        assert top_k(values, k, exclude).tolist() == order[:k]
