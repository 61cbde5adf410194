"""Other spaces, raw history, and what the pipeline promises as a whole."""

import numpy as np
import pytest

from ondevice.config import Ranking
from ondevice.domain import Item
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import Space
from ondevice.privacy.decoder import decode
from ondevice.privacy.stream import StreamParameters
from ondevice.profile.base import FromRelease
from ondevice.profile.cross_domain import Abroad, bridge, evidence
from ondevice.profile.exact import FromHistory, FromInterests, History, exact_base
from ondevice.profile.explain import Past
from ondevice.profile.owner_view import Owner
from ondevice.profile.pipeline import Order, Wish, arrange
from ondevice.profile.release import Profile, profile
from ondevice.profile.steps import step_of

E, N = 24, 80
GENERATOR = np.random.default_rng(11)
TEXTS = GENERATOR.standard_normal((N, E)).astype(np.float32)
TEXTS /= np.linalg.norm(TEXTS, axis=1, keepdims=True)
WITHIN = np.float32(0.05)


def space(name: str, dimension: int, encoder: str = "0") -> Space:
    projection = np.linalg.qr(GENERATOR.standard_normal((E, dimension)))[0].T
    return Space(
        name=name,
        encoder=encoder * 64,
        centre=np.zeros(E, dtype=np.float32),
        projection=projection.astype(np.float32),
        half_life=8,
        temperature=10.0,
        mean=np.zeros(dimension, dtype=np.float32),
        between=np.eye(dimension, dtype=np.float32) * WITHIN,
        within=np.eye(dimension, dtype=np.float32) * WITHIN,
    )


def catalogue(into: Space, **fields: object) -> Catalogue:
    items = [Item(id=f"i{n}", title=f"Thing {chr(65 + n % 26)}{n}") for n in range(N)]
    return Catalogue.in_memory(items, into.project(TEXTS), np.zeros(N, np.float32), into)


def loud(into: Space, rows: list[int]) -> tuple[Profile, Past]:
    """A profile without noise of deeds about `rows`."""
    parameters = StreamParameters.for_budget(4.0, 1e-6, into.dimension, half_life=8)
    units = catalogue(into).unit(rows)
    steps = [step_of(unit, 1.0) for unit in units]
    clean = [
        tuple(
            sum(c * x for c, x in zip(parameters.coefficients, column, strict=False))
            for column in zip(*steps[t::-1], strict=True)
        )
        for t in range(len(steps))
    ]
    made = profile(decode(parameters, clean), into, weight_mean=1.0)

    class Told:
        def __init__(self, t: int) -> None:
            self.label, self.age, self.x = f"you did {t}", len(steps) - 1 - t, steps[t]

    return made, Past.of(made, [Told(t) for t in range(len(steps))])


ONE, TWO = space("one", 20), space("two", 16)


def test_the_bridge_brings_vectors_near_to_their_own_image() -> None:
    across = bridge(ONE, TWO)
    assert across is not None
    there = ONE.project(TEXTS).astype(float) @ across.T
    here = TWO.project(TEXTS).astype(float)
    there /= np.linalg.norm(there, axis=1, keepdims=True)
    own = (there * here).sum(axis=1)
    others = (there @ here.T)[~np.eye(N, dtype=bool)]

    assert own.mean() > 0.85
    assert own.min() > 0.5
    assert abs(others.mean()) < 0.1
    assert bridge(ONE, space("other", 16, encoder="1")) is None
    itself = bridge(ONE, ONE)
    assert itself is not None
    assert itself == pytest.approx(np.eye(20), abs=0.01)


def test_deeds_of_another_space_move_the_list_and_the_parts_add_up() -> None:
    nobody = profile(decode(StreamParameters.for_budget(4.0, 1e-6, 16, half_life=8), []), TWO)
    abroad, past = loud(ONE, [7, 8, 7])
    other = Abroad(space=ONE, profile=abroad, past=past)
    here = catalogue(TWO)
    more = evidence(nobody, TWO, [other])
    base = FromRelease(profile=nobody, catalogue=here, past=Past.of(nobody, []), more=more)
    listed = [one.row for one in Owner(base=base, catalogue=here).listing(limit=N).page]

    assert listed[0] == 7
    assert listed.index(8) < N // 4
    for row in (7, 8, 40):
        parts = base.parts(row)
        assert sum(part.share for part in parts) == pytest.approx(base.values[row], abs=1e-9)
        assert [p.label for p in parts if p.kind == "behaviour"] == [
            "you did 0",
            "you did 1",
            "you did 2",
        ]
    assert max(base.parts(7), key=lambda part: part.share).label in {"you did 0", "you did 2"}


def test_what_is_known_here_outweighs_what_is_known_elsewhere() -> None:
    abroad, past = loud(ONE, [7])
    other = Abroad(space=ONE, profile=abroad, past=past)
    here, _ = loud(TWO, list(range(20, 60)))
    nobody = profile(decode(StreamParameters.for_budget(4.0, 1e-6, 16, half_life=8), []), TWO)
    (alone,), (beside,) = evidence(nobody, TWO, [other]), evidence(here, TWO, [other])

    assert np.linalg.norm(beside.gain) < 0.2 * np.linalg.norm(alone.gain)
    silent = Abroad(space=TWO, profile=nobody, past=Past.of(nobody, []))
    assert evidence(here, ONE, [silent]) == []


# --- raw history ---------------------------------------------------------------------------------


def history(rows: list[int], weights: list[float]) -> History:
    return History(
        labels=tuple(f"you did {row}" for row in rows),
        vectors=catalogue(ONE).unit(rows).astype(np.float64),
        weights=np.array(weights),
    )


def test_several_interests_are_kept_apart_and_the_parts_add_up() -> None:
    base = exact_base(history([3, 50, 9], [1.0, 1.0, -0.6]), catalogue(ONE))
    assert isinstance(base, FromHistory)
    order = np.argsort(-base.values).tolist()

    assert set(order[:2]) == {3, 50}
    assert order.index(9) > N // 2
    for row in (3, 9, 50, 70):
        parts = base.parts(row)
        assert sum(part.share for part in parts) == pytest.approx(base.values[row], abs=1e-9)
    assert base.parts(9)[2].share < 0
    assert max(base.parts(50), key=lambda part: part.share).label == "you did 50"
    assert not base.noise(np.arange(3)).any()
    assert base.usual == 0.0


def test_a_trained_space_says_how_deeds_speak() -> None:
    from dataclasses import replace

    trained = replace(
        ONE,
        interests={
            "query": np.eye(20, dtype=np.float32),
            "positions": np.array([0.0, -0.5], dtype=np.float32),
            "temperature": np.array([6.0], dtype=np.float32),
        },
    )
    here = replace(catalogue(ONE), space=trained)
    base = exact_base(history([3, 50, 9], [1.0, 1.0, -0.6]), here)
    assert isinstance(base, FromInterests)

    assert set(np.argsort(-base.values)[:2].tolist()) == {3, 50}
    for row in (3, 9, 50, 70):
        parts = base.parts(row)
        assert sum(part.share for part in parts) == pytest.approx(base.values[row], abs=1e-9)
        assert [part.label for part in parts[:3]] == ["you did 3", "you did 50", "you did 9"]
    assert base.parts(9)[2].share < 0


def test_without_history_exact_is_popularity() -> None:
    base = exact_base(history([], []), catalogue(ONE))
    assert not base.values.any()
    assert [part.kind for part in base.parts(0)] == ["popularity"]


# --- the pipeline as a whole ---------------------------------------------------------------------


def test_pages_go_on_where_the_ones_before_ended_whatever_the_scores() -> None:
    here, wish = catalogue(ONE), Wish.of(Ranking(), today=None)
    order, seen = Order(), list[int]()
    for page in range(1, 9):
        values = GENERATOR.standard_normal(N)  # nothing stays as it was
        listed = arrange(
            values, here, wish, excluded=set(), spread=1.0, last=order, limit=10, page=page
        )
        assert list(listed.order.rows[: 10 * page]) == [*seen, *(p.row for p in listed.page)]
        seen += [one.row for one in listed.page]
        order = listed.order
    assert sorted(seen) == list(range(N))


def test_a_page_that_was_not_reached_page_by_page_is_made_all_the_same() -> None:
    here, wish, values = catalogue(ONE), Wish.of(Ranking(), today=None), np.arange(N, 0.0, -1.0)
    whole = arrange(values, here, wish, excluded=set(), spread=1.0, limit=30)
    third = arrange(values, here, wish, excluded=set(), spread=1.0, limit=10, page=3)
    assert len(third.page) == 10
    assert third.order.pages == 30
    assert {p.row for p in third.page} & {p.row for p in whole.page}
    beyond = arrange(values, here, wish, excluded=set(), spread=1.0, limit=50, page=3)
    assert beyond.page == ()


def test_rules_that_leave_little_still_fill_the_page() -> None:
    ranking = Ranking(allow=tuple(f"id:i{n}" for n in range(60, 75)))
    values = np.arange(N, 0.0, -1.0)
    listed = arrange(
        values, catalogue(ONE), Wish.of(ranking, today=None), excluded={60}, spread=1.0, limit=10
    )
    assert len(listed.page) == 10
    assert all(61 <= one.row < 75 for one in listed.page)
