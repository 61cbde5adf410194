"""What feedback promises, for random items of random and of clustered catalogues."""

import numpy as np
import pytest

from ondevice.domain import Verdict
from ondevice.formats.tensors import Codes
from ondevice.ranking.overlay import Feedback, adjustments, excluded
from ondevice.ranking.score import F64, cosines, scores, top_k

CASES = ["random", "clustered", "tight", "popular"]


class World:
    """A catalogue, a person who has seen some of it, and their scores."""

    def __init__(self, case: str) -> None:
        generator = np.random.default_rng(CASES.index(case))
        n, d = 1500, 32
        if case in {"clustered", "tight"}:
            centres = generator.standard_normal((25, d))
            spread = 0.5 if case == "clustered" else 0.05
            dense = centres[generator.integers(0, 25, n)]
            dense = dense + spread * generator.standard_normal((n, d))
        else:
            dense = generator.standard_normal((n, d))
        self.codes = Codes.quantize(dense.astype(np.float32))
        bias = np.zeros(n) if case != "popular" else np.log1p(generator.pareto(1.0, n) * 5)
        self.seen = frozenset(generator.integers(0, n, 60).tolist())
        liked = self.codes.unit()[sorted(self.seen)[:10]].mean(axis=0).astype(np.float64)
        self.base: F64 = scores(
            liked, self.codes.values, self.codes.inverse_norms, bias.astype(np.float32), 12.0
        )
        self.chosen = generator.permutation(n)[:50].tolist()

    def values(self, feedback: Feedback) -> F64:
        deltas = adjustments(
            self.base, self.codes.values, self.codes.inverse_norms, feedback, seen=self.seen
        )
        return self.base + sum(deltas, np.zeros(len(self.base)))

    def top(self, feedback: Feedback, k: int = 10) -> list[int]:
        rows = top_k(self.values(feedback), k, self.seen | excluded(feedback))
        return [int(row) for row in rows]

    def neighbour(self, row: int, without: frozenset[int] = frozenset()) -> int:
        near = cosines(row, self.codes.values, self.codes.inverse_norms)
        return int(top_k(near, 1, self.seen | without | {row})[0])


@pytest.fixture(scope="module", params=CASES)
def world(request: pytest.FixtureRequest) -> World:
    return World(request.param)


def test_after_a_like_the_nearest_unseen_neighbour_is_in_the_top_ten(world: World) -> None:
    for row in world.chosen:
        top = world.top([(row, Verdict.LIKE)])

        assert world.neighbour(row) in top
        assert row not in top


def test_after_ten_likes_the_newest_ones_show_first(world: World) -> None:
    feedback = [(row, Verdict.LIKE) for row in world.chosen[:10]]
    newest = world.chosen[9]

    assert world.neighbour(newest, excluded(feedback)) in world.top(feedback)


def test_after_less_the_item_and_its_nearest_neighbour_are_out_of_the_top_ten(
    world: World,
) -> None:
    for row in world.top([], 50):
        top = world.top([(row, Verdict.LESS)])

        assert row not in top
        assert world.neighbour(row) not in top


def test_hiding_removes_one_item_and_nothing_else(world: World) -> None:
    before = [(world.chosen[0], Verdict.LIKE), (world.chosen[1], Verdict.LESS)]
    listed = world.top(before, 60)
    for row in listed[:25]:
        hidden = world.top([*before, (row, Verdict.HIDE)], 59)

        assert hidden == [other for other in listed if other != row]


def test_taking_the_last_verdict_back_restores_every_bit(world: World) -> None:
    said = [Verdict.LIKE, Verdict.LESS, Verdict.HIDE, Verdict.OPEN, Verdict.LIKE]
    feedback: list[tuple[int, Verdict]] = []
    before = [world.values(feedback)]
    for row, verdict in zip(world.chosen, said, strict=False):
        feedback.append((row, verdict))
        before.append(world.values(feedback))
    for values in reversed(before):
        assert world.values(feedback).tobytes() == values.tobytes()
        feedback = feedback[:-1]
    assert before[0].tobytes() == world.base.tobytes()


def test_most_of_the_list_stays_where_it_was(world: World) -> None:
    for row in world.chosen[:20]:
        moved = np.flatnonzero(world.values([(row, Verdict.LIKE)]) != world.base)

        assert len(moved) <= 50
