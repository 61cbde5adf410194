"""Feedback moves near items and no others. Its guarantees for whole lists: tests/property."""

import numpy as np
import pytest

from ondevice.domain import Verdict
from ondevice.formats.tensors import Codes
from ondevice.ranking.overlay import NEIGHBOURS, adjustments, excluded
from ondevice.ranking.score import F64, cosines


@pytest.fixture
def codes() -> Codes:
    generator = np.random.default_rng(3)
    return Codes.quantize(generator.standard_normal((400, 16)).astype(np.float32))


def moved(
    codes: Codes, base: F64, *feedback: tuple[int, Verdict], seen: frozenset[int] = frozenset()
) -> list[F64]:
    return list(adjustments(base, codes.values, codes.inverse_norms, feedback, seen=seen))


def base_scores() -> F64:
    return np.random.default_rng(4).standard_normal(400)


def nearest(codes: Codes, row: int, seen: frozenset[int] = frozenset()) -> list[int]:
    order = np.argsort(-cosines(row, codes.values, codes.inverse_norms), kind="stable")
    return [other for other in order.tolist() if other != row and other not in seen]


def test_a_like_lifts_only_its_nearest_fifty_and_the_nearest_to_the_top(codes: Codes) -> None:
    base = base_scores()
    (delta,) = moved(codes, base, (5, Verdict.LIKE))
    near = nearest(codes, 5)

    assert set(np.flatnonzero(delta)) <= set(near[:NEIGHBOURS])
    assert (delta >= 0).all()
    assert np.argmax(base + delta) == near[0]
    assert delta[5] == 0.0


def test_less_like_this_lowers_only_near_items_and_never_below_the_middle(codes: Codes) -> None:
    base = base_scores()
    (delta,) = moved(codes, base, (5, Verdict.LESS))
    near = nearest(codes, 5)

    assert set(np.flatnonzero(delta)) <= {5, *near[:NEIGHBOURS]}
    assert (delta <= 0).all()
    middle = float(np.median(np.delete(base, 5)))
    assert (base + delta)[near[0]] == pytest.approx(min(base[near[0]], middle))
    assert (base + delta)[5] == pytest.approx(min(base[5], middle))


@pytest.mark.parametrize("verdict", [Verdict.OPEN, Verdict.DWELL])
def test_milder_verdicts_move_the_same_items_less(codes: Codes, verdict: Verdict) -> None:
    base = base_scores()
    (liked,), (mild,) = moved(codes, base, (5, Verdict.LIKE)), moved(codes, base, (5, verdict))

    assert 0 < mild.max() < liked.max()
    assert set(np.flatnonzero(mild)) == set(np.flatnonzero(liked))


def test_hiding_moves_nothing(codes: Codes) -> None:
    (delta,) = moved(codes, base_scores(), (5, Verdict.HIDE))

    assert not delta.any()


def test_a_like_passes_over_what_is_seen_or_hidden_before(codes: Codes) -> None:
    base, near = base_scores(), nearest(codes, 5)
    (skipping_seen,) = moved(codes, base, (5, Verdict.LIKE), seen=frozenset(near[:2]))
    _, skipping_hidden = moved(codes, base, (near[0], Verdict.HIDE), (5, Verdict.LIKE))

    assert np.argmax(base + skipping_seen) == near[2]
    assert np.argmax(base + skipping_hidden) == near[1]


def test_a_later_verdict_leaves_earlier_ones_as_they_are(codes: Codes) -> None:
    base, near = base_scores(), nearest(codes, 5)
    alone = moved(codes, base, (5, Verdict.LIKE))
    both = moved(codes, base, (5, Verdict.LIKE), (near[0], Verdict.HIDE))

    assert both[0].tobytes() == alone[0].tobytes()


def test_an_item_without_a_direction_moves_nothing() -> None:
    codes = Codes.quantize(np.array([[0, 0], [1, 0], [0, 1]], dtype=np.float32))
    (delta,) = moved(codes, np.array([1.0, 2.0, 3.0]), (0, Verdict.LIKE))

    assert not delta.any()


def test_nothing_is_left_to_move(codes: Codes) -> None:
    everything = frozenset(range(400))
    (delta,) = moved(codes, base_scores(), (5, Verdict.LIKE), seen=everything)

    assert not delta.any()


def test_equal_items_move_together_even_where_all_scores_are_equal() -> None:
    codes = Codes.quantize(np.array([[1, 0]] * 5 + [[0, 1]] * 55, dtype=np.float32))
    (delta,) = moved(codes, np.zeros(60), (0, Verdict.LIKE))
    (flat,) = moved(codes, np.zeros(60), (10, Verdict.LIKE))

    assert set(np.flatnonzero(delta)) == {1, 2, 3, 4}
    assert len(set(delta[1:5])) == 1
    assert set(np.flatnonzero(flat)) == set(range(5, 60)) - {10}


def test_in_a_small_catalogue_less_goes_to_the_very_end() -> None:
    codes = Codes.quantize(np.eye(12, dtype=np.float32) + 0.1)
    base = np.arange(12, dtype=np.float64)
    (delta,) = moved(codes, base, (11, Verdict.LESS))

    assert (base + delta)[11] == 0.0


def test_what_leaves_the_list() -> None:
    said = [(1, Verdict.LIKE), (2, Verdict.LESS), (3, Verdict.HIDE), (4, Verdict.OPEN)]

    assert excluded(said) == {1, 3}
