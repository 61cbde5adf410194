"""Several interests: the log-sum-exp of what past items ask for, and its shares."""

import math
from dataclasses import replace

import numpy as np
import pytest

from ondevice.errors import FormatError
from ondevice.profile.interests import Interests, likeness, one_vector, scores, shares

K = 6


def units(rows: int, seed: int) -> np.ndarray:
    found = np.random.default_rng(seed).normal(size=(rows, K))
    return np.asarray(found / np.linalg.norm(found, axis=1, keepdims=True))


@pytest.fixture
def interests() -> Interests:
    query = np.eye(K) + 0.2 * np.random.default_rng(3).normal(size=(K, K))
    return Interests(query=query, positions=np.array([1.0, 0.2, -0.5]), temperature=7.0)


def test_scores_are_the_formula(interests: Interests) -> None:
    deeds, items, bias = units(5, 0), units(9, 1), np.linspace(-1, 1, 9)
    weights = np.exp(np.array([-0.5, -0.5, -0.5, 0.2, 1.0]))  # newest last, older ones as the last
    weights /= weights.sum()

    found = scores(interests, deeds, items, bias)

    for j in range(9):
        total = 0.0
        for weight, deed in zip(weights, deeds, strict=True):
            asked = deed @ interests.query
            total += weight * math.exp(7.0 * float(asked @ items[j]) / float(np.linalg.norm(asked)))
        assert found[j] == pytest.approx(math.log(total) + bias[j], abs=1e-12)


def test_one_deed_and_the_same_deed_twice_say_the_same(interests: Interests) -> None:
    deed, items = units(1, 0), units(9, 1)
    once = likeness(interests, deed, items)
    assert likeness(interests, np.repeat(deed, 2, axis=0), items) == pytest.approx(once, abs=1e-12)


def test_nothing_done_leaves_the_bias(interests: Interests) -> None:
    bias = np.arange(9.0)
    nothing, silent = np.zeros((0, K)), np.zeros((2, K))
    for deeds in (nothing, silent):
        assert (scores(interests, deeds, units(9, 1), bias) == bias).all()
        assert (one_vector(interests, deeds, units(9, 1), bias) == bias).all()


def test_shares_sum_to_the_likeness(interests: Interests) -> None:
    deeds, items = units(12, 0), units(9, 1)
    weights = np.linspace(0.0, 1.0, 12)
    for kinds in (None, weights):
        whole = likeness(interests, deeds, items, weights=kinds)
        for j in range(9):
            parts = shares(interests, deeds, items[j], weights=kinds)
            assert parts.sum() == pytest.approx(whole[j], abs=1e-9)
    assert shares(interests, deeds, items[0], weights=weights)[0] == 0.0  # has no say


def test_the_nearest_deed_has_the_largest_share() -> None:
    interests = Interests(query=np.eye(K), positions=np.zeros(1), temperature=9.0)
    deeds = np.eye(K)[:4]
    parts = shares(interests, deeds, np.eye(K)[2])
    assert int(parts.argmax()) == 2
    assert parts[2] > 0.99 * parts.sum()


def test_a_silenced_deed_keeps_its_place(interests: Interests) -> None:
    deeds, items = units(3, 0), units(9, 1)
    kept = likeness(interests, deeds, items, weights=np.array([1.0, 1.0, 0.0]))
    moved = likeness(replace(interests, positions=np.array([0.2, -0.5])), deeds[:2], items)
    assert kept == pytest.approx(moved, abs=1e-12)


def test_two_interests_stay_apart_where_one_vector_lies_between() -> None:
    interests = Interests(query=np.eye(K), positions=np.zeros(1), temperature=9.0)
    deeds = np.eye(K)[:2]
    between = (np.eye(K)[0] + np.eye(K)[1]) / math.sqrt(2)
    items, bias = np.stack([np.eye(K)[0], between]), np.zeros(2)
    several, one = (f(interests, deeds, items, bias) for f in (scores, one_vector))
    assert several[0] > several[1]
    assert one[1] > one[0]


def test_many_items_in_blocks_say_the_same(interests: Interests) -> None:
    deeds, items = units(4, 0), units(9000, 1)
    whole = scores(interests, deeds, items, np.zeros(9000))
    part = scores(interests, deeds, items[4000:4200], np.zeros(200))
    assert whole[4000:4200] == pytest.approx(part, abs=1e-12)


def test_arrays_come_back(interests: Interests) -> None:
    back = Interests.of(interests.arrays())
    assert back.query == pytest.approx(interests.query, abs=1e-6)
    assert back.positions == pytest.approx(interests.positions, abs=1e-6)
    assert back.temperature == interests.temperature


@pytest.mark.parametrize(
    ("name", "array"),
    [
        ("query", np.zeros((K, K + 1))),
        ("query", np.zeros((0, 0))),
        ("query", np.full((K, K), np.nan)),
        ("positions", np.zeros((2, 2))),
        ("positions", np.zeros(0)),
        ("temperature", np.array([0.0])),
        ("temperature", np.array([1.0, 2.0])),
        ("temperature", None),
    ],
)
def test_malformed_arrays_are_refused(
    interests: Interests, name: str, array: np.ndarray | None
) -> None:
    arrays = interests.arrays()
    if array is None:
        del arrays[name]
    else:
        arrays[name] = array.astype(np.float32)
    with pytest.raises(FormatError):
        Interests.of(arrays)
