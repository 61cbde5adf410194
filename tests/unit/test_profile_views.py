"""Both views on one small catalogue: filters, feedback, sums that add up, and what can't leak."""

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pytest

from ondevice.domain import Item, Part, Verdict
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import Space
from ondevice.privacy.decoder import decode
from ondevice.privacy.stream import StreamParameters, row
from ondevice.profile import owner_view, shared_view
from ondevice.profile.explain import NOISE, NOISE_AND_FORGOTTEN, Past, because
from ondevice.profile.release import Profile, profile
from ondevice.profile.steps import step_of

N, D, HALF_LIFE = 300, 16, 8
PARAMETERS = StreamParameters.for_budget(8.0, 1e-6, D, half_life=HALF_LIFE)


class Seeded:
    """Repeatable bits, for tests only."""

    def __init__(self, seed: int) -> None:
        self._source = random.Random(seed)

    def bits(self, k: int) -> int:
        return self._source.getrandbits(k)

    def bytes(self, n: int) -> bytes:
        return self._source.randbytes(n)


@dataclass(frozen=True)
class Told:
    label: str
    age: int
    x: tuple[int, ...]


def make_catalogue() -> Catalogue:
    generator = np.random.default_rng(7)
    vectors = generator.standard_normal((N, D)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    space = Space(
        name="test",
        encoder="0" * 64,
        centre=np.zeros(D, dtype=np.float32),
        projection=np.eye(D, dtype=np.float32),
        half_life=HALF_LIFE,
        temperature=20.0,
        mean=(generator.standard_normal(D) / 20).astype(np.float32),
        between=np.eye(D, dtype=np.float32) * np.float32(0.05),
        within=np.eye(D, dtype=np.float32) * np.float32(0.05),
    )
    items = [Item(id=f"i{n}", title=f"Item {n}") for n in range(N)]
    bias = np.log1p(generator.pareto(1.0, N)).astype(np.float32)
    return Catalogue.in_memory(items, vectors, bias, space)


def release(history: Sequence[tuple[int, ...]], seed: int) -> list[tuple[int, ...]]:
    source = Seeded(seed)
    return [row(PARAMETERS, history[t::-1][: PARAMETERS.band], source) for t in range(len(history))]


@dataclass(frozen=True)
class World:
    catalogue: Catalogue
    history: list[tuple[int, ...]]
    rows: list[tuple[int, ...]]
    profile: Profile
    steps: list[Told]


@pytest.fixture(scope="module")
def world() -> World:
    catalogue = make_catalogue()
    history = [step_of(catalogue.unit([3 * t])[0], 1.0) for t in range(30)]
    rows = release(history, 8)
    steps = [Told(label=f"you watched {t}", age=29 - t, x=history[t]) for t in range(29, -1, -1)]
    released = profile(decode(PARAMETERS, rows), catalogue.space, weight_mean=1.0)
    return World(catalogue, history, rows, released, steps)


def by_kind(parts: Sequence[Part]) -> dict[str, float]:
    totals: dict[str, float] = {}
    for part in parts:
        totals[part.kind] = totals.get(part.kind, 0.0) + part.share
    return totals


FEEDBACK = [(40, Verdict.LIKE), (80, Verdict.LESS), (90, Verdict.HIDE), (41, Verdict.OPEN)]


def test_shares_of_every_item_sum_to_the_score_of_the_list(world: World) -> None:
    seen = frozenset({0, 3, 6})
    ranked = owner_view.rank(
        world.profile, world.catalogue, seen=seen, overlay=FEEDBACK, limit=N, steps=world.steps
    )

    assert len(ranked) == N - 3 - 2
    for place in ranked:
        parts = owner_view.explain(
            world.profile, world.catalogue, place.row, world.steps, seen=seen, overlay=FEEDBACK
        )
        assert sum(part.share for part in parts) == pytest.approx(place.score, abs=1e-6)


def test_older_steps_told_as_a_sum_change_no_total(world: World) -> None:
    beta = world.profile.beta
    older = sum(
        (beta**step.age * np.array(step.x, dtype=np.float64) for step in world.steps[10:]),
        np.zeros(D),
    )
    whole = owner_view.explain(world.profile, world.catalogue, 5, world.steps)
    short = owner_view.explain(world.profile, world.catalogue, 5, world.steps[:10], older=older)

    assert sum(part.kind == "behaviour" for part in short) == 10
    for alone, among in zip(short[:10], whole[:10], strict=True):
        assert alone.label == among.label
        assert alone.share == pytest.approx(among.share, abs=1e-12)
    a, b = by_kind(whole), by_kind(short)
    assert b["behaviour"] + b["older"] == pytest.approx(a["behaviour"], abs=1e-9)
    assert b["noise"] == pytest.approx(a["noise"], abs=1e-9)
    assert "older" not in a


def test_the_noise_share_is_exactly_the_noise(world: World) -> None:
    """In a stream released without noise nothing is left over."""
    beta = world.profile.beta
    clean = sum(
        (beta**step.age * np.array(step.x) / PARAMETERS.grid for step in world.steps),
        np.zeros(D),
    )
    loud = by_kind(owner_view.explain(world.profile, world.catalogue, 5, world.steps))
    unit = world.catalogue.unit([5])[0].astype(np.float64)
    expected = 20.0 * unit @ world.profile.gain @ (world.profile.v - clean)

    assert loud["noise"] == pytest.approx(expected, abs=1e-5)
    assert abs(loud["noise"]) > 1e-3


def test_what_was_forgotten_is_no_longer_told_apart_from_noise(world: World) -> None:
    kept = world.steps[:5] + world.steps[6:]
    parts = owner_view.explain(world.profile, world.catalogue, 5, kept, forgotten=True)
    labels = [part.label for part in parts if part.kind == "noise"]
    plain = owner_view.explain(world.profile, world.catalogue, 5, world.steps)

    assert labels == [NOISE_AND_FORGOTTEN]
    assert [part.label for part in plain if part.kind == "noise"] == [NOISE]
    assert sum(p.share for p in parts) == pytest.approx(sum(p.share for p in plain), abs=1e-9)


def test_feedback_is_named_in_the_explanation(world: World) -> None:
    listed = owner_view.rank(world.profile, world.catalogue, overlay=FEEDBACK[:1], limit=1)
    parts = owner_view.explain(
        world.profile, world.catalogue, listed[0].row, world.steps, overlay=FEEDBACK[:1]
    )

    assert [part.label for part in parts if part.kind == "overlay"] == ["you liked “Item 40”"]
    assert listed[0].because.line == "because you liked “Item 40”"


def test_the_list_leaves_out_seen_hidden_and_liked_items(world: World) -> None:
    everything = owner_view.rank(world.profile, world.catalogue, limit=N)
    best = [place.row for place in everything[:6]]
    got = owner_view.rank(
        world.profile,
        world.catalogue,
        seen=frozenset(best[:2]),
        hidden=frozenset(best[2:3]),
        overlay=[(best[3], Verdict.HIDE)],
        limit=2,
    )

    assert [place.row for place in got] == best[4:6]


def test_pages_continue_the_list(world: World) -> None:
    whole = owner_view.rank(world.profile, world.catalogue, steps=world.steps, limit=20)
    pages = [
        place
        for page in (1, 2, 3, 4)
        for place in owner_view.rank(
            world.profile, world.catalogue, steps=world.steps, limit=5, page=page
        )
    ]

    assert pages == whole
    assert owner_view.rank(world.profile, world.catalogue, limit=200, page=3) == []


def test_a_new_person_gets_a_popular_start(world: World) -> None:
    nobody = profile(decode(PARAMETERS, []), world.catalogue.space)
    ranked = owner_view.rank(nobody, world.catalogue, limit=5)

    assert {place.because.line for place in ranked} == {"because many people like it"}


def test_a_strong_signal_is_the_reason_given(world: World) -> None:
    ranked = owner_view.rank(world.profile, world.catalogue, steps=world.steps, limit=30)
    kinds = {place.because.kind for place in ranked}
    named = next(p.because for p in ranked if p.because.kind == "behaviour")

    assert "behaviour" in kinds
    assert named.line.startswith("because you watched ")
    assert 1 <= len(named.parts) <= 2


def part(kind: str, share: float, label: str = "") -> Part:
    return Part(kind=kind, label=label or kind, share=share)


def test_reasons() -> None:
    quiet = [part("prior", 5.0), part("popularity", 1.0), part("noise", 0.1)]
    told = [part("behaviour", 1.0, "you a"), part("behaviour", 0.3, "you b")]

    assert because([*told, *quiet], usual=6.0).line == "because you a"
    assert because([*told, told[1], *quiet], usual=6.0).line == "because you a and b"
    assert because([*told, *quiet], usual=2.0).line == "because many people like it"
    assert (
        because([*told, part("noise", -2.0)], usual=0.0).line
        == "because of noise, mostly: it hides you"
    )
    assert because([part("older", 2.0, "older things")], usual=0.0).line == (
        "because of older things"
    )
    mixed = [part("older", 9.0), part("behaviour", 1.0, "you a"), part("behaviour", -1.0, "you b")]
    assert because(mixed, usual=0.0).line == "because you a"
    assert because([*told, part("overlay", 3.0, "you liked x")], usual=0.0).line == (
        "because you liked x"
    )
    assert because([*told, part("overlay", -3.0, "you x")], usual=0.0).kind == "behaviour"
    assert because([part("noise", 3.0)], usual=0.0).kind == "popularity"


def test_reasons_carry_the_shares_they_name(world: World) -> None:
    got = because([part("behaviour", 1.0, "a"), part("behaviour", 0.25, "a")], usual=0.0)

    assert got.parts == (part("behaviour", 1.25, "a"),)


def test_the_past_of_nothing(world: World) -> None:
    past = Past.of(world.profile, [])

    assert past.decayed.shape == (0, D)
    assert not past.older.any()


def test_two_people_with_the_same_rows_get_the_same_shared_list(world: World) -> None:
    """Raw state differs in everything; the released rows are the same."""
    lists, owners = [], []
    for seen, steps in ((frozenset({0, 3}), world.steps), (frozenset({7}), world.steps[:3])):
        released = profile(decode(PARAMETERS, world.rows), world.catalogue.space)
        owners.append(
            owner_view.rank(
                released,
                world.catalogue,
                seen=seen,
                overlay=FEEDBACK if len(steps) == 3 else (),
                steps=steps,
            )
        )
        lists.append(
            shared_view.rank_rows(
                PARAMETERS, world.rows, world.catalogue, emitted=frozenset(), limit=50
            )
        )

    assert owners[0] != owners[1]
    assert repr(lists[0]) == repr(lists[1])


def test_the_shared_view_never_repeats_itself_and_may_show_what_was_seen(world: World) -> None:
    first = shared_view.rank(world.profile, world.catalogue, emitted=frozenset(), limit=20)
    emitted = frozenset(place.row for place in first)
    second = shared_view.rank(world.profile, world.catalogue, emitted=emitted, limit=20)
    both = shared_view.rank(world.profile, world.catalogue, emitted=frozenset(), limit=40)

    assert first + second == both
    assert len({place.row for place in both}) == 40
    assert emitted & {3 * t for t in range(30)}


def test_without_feedback_both_views_score_alike(world: World) -> None:
    shared = shared_view.rank(world.profile, world.catalogue, emitted=frozenset(), limit=30)
    owner = owner_view.rank(world.profile, world.catalogue, limit=30)

    assert [(p.row, p.score) for p in shared] == [(p.row, p.score) for p in owner]
