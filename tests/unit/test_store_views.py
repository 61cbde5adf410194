"""What the store answers: history, items, explanations, feedback, and what was shown."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Behaviour, Kind, Verdict
from ondevice.errors import ConfigError, NotReadyError
from ondevice.paths import Home
from ondevice.privacy.stream import StreamParameters
from ondevice.store import Entry, Row, Store, Stream

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
D, HALF_LIFE = 3, 2


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home")) as store:
        yield store


def did(
    text: str,
    *,
    kind: Kind = Kind.VIEW,
    item: str | None = None,
    catalogue: str | None = None,
    minutes: int = 0,
) -> Behaviour:
    return Behaviour(
        text=text, kind=kind, item=item, catalogue=catalogue, at=AT + timedelta(minutes=minutes)
    )


# --- history -------------------------------------------------------------------------------------


def test_history_is_what_happened_last_first(store: Store) -> None:
    for minutes in (5, 1, 9):
        store.record(Entry(behaviour=did(f"at {minutes}", minutes=minutes)))
    assert [b.text for b in store.behaviours.recent(2)] == ["at 9", "at 5"]
    assert store.behaviours.count() == 3


def test_a_behaviour_comes_back_as_it_was(store: Store) -> None:
    given = did("naïve — 寿司 🍣", kind=Kind.DISLIKE, item="i/1", catalogue="c", minutes=3)
    number = store.record(Entry(behaviour=given)).id
    back = store.behaviours.get(number)
    assert back == Behaviour(
        id=number,
        text=given.text,
        kind=given.kind,
        at=given.at,
        item=given.item,
        catalogue=given.catalogue,
        source="log",
    )
    with pytest.raises(NotReadyError) as caught:
        store.behaviours.get(999)
    assert "history" in caught.value.hint


def test_an_id_is_never_given_out_twice(store: Store) -> None:
    first = store.record(Entry(behaviour=did("one"))).id
    store.behaviours.withdraw(first)
    with pytest.raises(NotReadyError):
        store.behaviours.withdraw(first)
    again = store.record(Entry(behaviour=did("one")))
    assert again.id > first
    assert not again.duplicate


def test_counts_and_items_by_catalogue(store: Store) -> None:
    for behaviour in (
        did("a", catalogue="films", item="1"),
        did("b", catalogue="films", item="1"),
        did("c", catalogue="films", item="2", kind=Kind.DISLIKE),
        did("d", catalogue="films"),
        did("e", catalogue="shop", item="9", kind=Kind.PURCHASE),
        did("f"),
    ):
        store.record(Entry(behaviour=behaviour))
    assert store.behaviours.count_by_catalogue() == {"films": 4, "shop": 1}
    assert store.behaviours.items("films") == {"1", "2"}
    assert store.behaviours.items("other") == set()
    store.feedback.add("films", "7", Verdict.LESS, at=AT)
    assert store.seen("films") == {"1", "2", "7"}
    assert store.seen("shop") == {"9"}


def test_vectors_come_back_beside_their_behaviours(store: Store) -> None:
    vectors = np.random.default_rng(3).normal(size=(3, 384)).astype(np.float32)
    for n, vector in enumerate(vectors):
        behaviour = did(f"{n}", minutes=-n, catalogue="films" if n else None)
        store.record(Entry(behaviour=behaviour, vector=vector))
    store.record(Entry(behaviour=did("without")))

    behaviours, back = store.behaviours.vectors()
    assert [b.text for b in behaviours] == ["2", "1", "0"]
    np.testing.assert_array_equal(back, vectors[::-1])
    assert back.dtype == np.float32
    behaviours, back = store.behaviours.vectors("films")
    assert ([b.text for b in behaviours], back.shape) == (["2", "1"], (2, 384))
    assert store.behaviours.vectors("none")[1].shape[0] == 0


# --- explanations --------------------------------------------------------------------------------


@pytest.fixture
def stream(store: Store) -> Stream:
    return store.ledger.open_stream(
        space="ab" * 32,
        unit="behaviour",
        parameters=StreamParameters.for_budget(4.0, 1e-6, D, half_life=HALF_LIFE),
        cap_epsilon=4.0,
        cap_delta=1e-6,
        at=AT,
    )


def fill(store: Store, stream: Stream, xs: list[tuple[int, int, int]]) -> None:
    store.record_many(
        [Entry(behaviour=did(f"thing {n}"), stream=stream, step=x) for n, x in enumerate(xs)],
        lambda stream, inputs, state: Row(y=(0,) * D, state=b"s"),
    )


@pytest.mark.parametrize("count", [0, 1, 15, 16, 17, 60])
def test_the_parts_of_a_past_sum_to_its_decayed_sum(
    store: Store, stream: Stream, count: int
) -> None:
    generator = np.random.default_rng(count)
    xs = [tuple(int(v) for v in generator.integers(-9000, 9000, D)) for _ in range(count)]
    fill(store, stream, xs)  # type: ignore[arg-type]  # three each
    gone = {count - 2} & set(range(count))
    for n in gone:
        store.behaviours.withdraw(n + 1)
    beta = 2 ** (-1 / HALF_LIFE)
    expected = np.zeros(D)
    for n, x in enumerate(xs):
        expected = beta * expected + (np.zeros(D) if n in gone else np.array(x))

    past = store.behaviours.steps(stream)

    total = past.older + sum(beta**s.age * np.array(s.x) for s in past.individual)
    np.testing.assert_allclose(total, expected, rtol=1e-12, atol=1e-9)
    assert (past.rows, past.forgotten) == (count, len(gone))
    assert len(past.individual) + past.older_count + past.forgotten == count
    recent_gone = len([n for n in gone if count - 1 - n < 8 * HALF_LIFE])
    assert len(past.individual) == min(count, 8 * HALF_LIFE) - recent_gone


def test_forgetting_what_is_old_drops_the_sum_of_what_is_old(store: Store, stream: Stream) -> None:
    """Nothing can be taken out of a sum, so the whole sum goes; the newer ones stay."""
    fill(store, stream, [(n, 1, -n) for n in range(1, 61)])
    before = store.behaviours.steps(stream)
    assert before.older_count == 60 - 8 * HALF_LIFE
    newest = store._db.row("select t from older where stream = ?", stream.id)
    assert newest is not None
    folded = newest[0]
    assert folded > 4
    assert store._db.rows("select count(*) from steps where x is not null") == [(60 - folded,)]
    store.behaviours.withdraw(4)
    past = store.behaviours.steps(stream)
    assert past.individual == before.individual
    assert past.forgotten == 1
    late = range(folded, 60 - 8 * HALF_LIFE)  # old, but not summed up yet
    beta = 2 ** (-1 / HALF_LIFE)
    expected = sum((beta ** (59 - n) * np.array([n + 1, 1, -n - 1]) for n in late), np.zeros(D))
    np.testing.assert_allclose(past.older, expected, atol=1e-9)
    assert past.older_count == len(late)
    assert store.verify() == 1


def test_vectors_of_what_is_old_are_dropped(store: Store, stream: Stream) -> None:
    """However long the history is, no more than a bounded number of vectors is kept."""
    vector = np.ones(384, np.float32)
    for first in range(0, 120, 40):
        store.record_many(
            [
                Entry(behaviour=did(f"{n}"), vector=vector, stream=stream, step=(n, 1, 1))
                for n in range(first, first + 40)
            ],
            lambda stream, inputs, state: Row(y=(0,) * D, state=b"s"),
        )
        kept = len(store.behaviours.vectors()[0])
        assert 8 * HALF_LIFE <= kept < 8 * HALF_LIFE + 17
        assert store._db.rows("select count(*) from steps where x is not null") == [(kept,)]
    assert store.behaviours.count() == 120
    assert store.behaviours.steps(stream).older_count == 120 - 8 * HALF_LIFE


def test_a_withdrawal_says_what_still_weighs(store: Store, stream: Stream) -> None:
    fill(store, stream, [(1, 0, 0), (2, 0, 0), (3, 0, 0)])
    free = store.record(Entry(behaviour=did("never in a stream"))).id
    done = store.behaviours.withdraw_many([1, 3, free, 99])
    assert [(one.behaviour, one.weight) for one in done] == [(1, 0.5), (3, 1.0), (free, 0.0)]
    assert store.behaviours.count() == 1


def test_each_recent_step_carries_its_words_and_age(store: Store, stream: Stream) -> None:
    fill(store, stream, [(1, 0, 0), (2, 0, 0), (3, 0, 0)])
    past = store.behaviours.steps(stream).individual
    assert [(s.label, s.age, s.t, s.x[0]) for s in past] == [
        ("thing 2", 0, 3, 3),
        ("thing 1", 1, 2, 2),
        ("thing 0", 2, 1, 1),
    ]
    assert store.behaviours.get(past[0].behaviour).text == "thing 2"


# --- feedback ------------------------------------------------------------------------------------


def test_the_newest_opinion_counts(store: Store) -> None:
    for item, verdict in (("a", Verdict.LIKE), ("b", Verdict.HIDE), ("a", Verdict.LESS)):
        store.feedback.add("films", item, verdict, at=AT)
    assert store.feedback.current("films") == {"b": Verdict.HIDE, "a": Verdict.LESS}
    assert list(store.feedback.current("films")) == ["b", "a"]
    assert store.feedback.current("shop") == {}


def test_an_undo_takes_back_one_at_a_time(store: Store) -> None:
    behaviour = store.record(Entry(behaviour=did("liked", kind=Kind.LIKE))).id
    store.feedback.add("films", "a", Verdict.LIKE, at=AT, behaviour=behaviour)
    store.feedback.add("films", "a", Verdict.HIDE, at=AT)
    assert store.feedback.undo("films", "a", at=AT).verdict is Verdict.HIDE
    assert store.feedback.current("films") == {"a": Verdict.LIKE}
    undone = store.feedback.undo("films", "a", at=AT)
    assert (undone.verdict, undone.behaviour) == (Verdict.LIKE, behaviour)
    assert store.feedback.current("films") == {}
    with pytest.raises(NotReadyError) as caught:
        store.feedback.undo("films", "a", at=AT)
    assert caught.value.exit_code == 3
    assert [(e.verdict, e.undone) for e in store.feedback.log()] == [
        (Verdict.HIDE, True),
        (Verdict.LIKE, True),
    ]
    store.feedback.add("films", "a", Verdict.LIKE, at=AT)
    assert store.feedback.current("films") == {"a": Verdict.LIKE}


def test_looking_is_no_opinion_but_makes_seen(store: Store) -> None:
    store.feedback.add("films", "a", Verdict.OPEN, at=AT)
    store.feedback.add("films", "b", Verdict.DWELL, at=AT, seconds=12.5)
    assert store.feedback.current("films") == {}
    assert store.feedback.items("films") == {"a", "b"}
    assert [e.seconds for e in store.feedback.log(1)] == [12.5]
    assert store.feedback.standing("films") == {"a": Verdict.OPEN, "b": Verdict.DWELL}
    store.feedback.add("films", "c", Verdict.DWELL, at=AT, seconds=2.0)
    store.feedback.add("films", "b", Verdict.LESS, at=AT)
    store.feedback.add("films", "b", Verdict.OPEN, at=AT)
    assert store.feedback.standing("films") == {"a": Verdict.OPEN, "b": Verdict.LESS}
    assert store.feedback.undo("films", "b", at=AT).verdict is Verdict.LESS
    assert store.feedback.undo("films", "a", at=AT).verdict is Verdict.OPEN
    assert store.feedback.items("films") == {"b", "c"}
    with pytest.raises(NotReadyError):
        store.feedback.undo("films", "a", at=AT)


def test_what_was_undone_is_unseen(store: Store) -> None:
    store.feedback.add("films", "a", Verdict.LESS, at=AT)
    store.feedback.undo("films", "a", at=AT)
    assert store.feedback.items("films") == set()


@pytest.mark.parametrize(
    ("verdict", "seconds"),
    [
        (Verdict.DWELL, None),
        (Verdict.LIKE, 3.0),
        (Verdict.DWELL, -1.0),
        (Verdict.DWELL, float("nan")),
        (Verdict.DWELL, float("inf")),
    ],
)
def test_seconds_belong_to_a_dwell(store: Store, verdict: Verdict, seconds: float | None) -> None:
    with pytest.raises(ConfigError):
        store.feedback.add("films", "a", verdict, at=AT, seconds=seconds)
    with pytest.raises(ConfigError):
        store.feedback.add("", "a", Verdict.LIKE, at=AT)
    assert store.feedback.log() == []


def test_forgetting_a_behaviour_keeps_the_verdict(store: Store) -> None:
    number = store.record(Entry(behaviour=did("liked"))).id
    store.feedback.add("films", "a", Verdict.LIKE, at=AT, behaviour=number)
    store.behaviours.withdraw(number)
    assert [(e.verdict, e.behaviour) for e in store.feedback.log()] == [(Verdict.LIKE, None)]


# --- what the shared view has shown --------------------------------------------------------------


def test_shown_items_are_remembered_per_catalogue(store: Store) -> None:
    store.emitted.add("films", ["a", "b"], at=AT)
    store.emitted.add("films", ["b", "c"], at=AT + timedelta(days=1))
    store.emitted.add("films", [], at=AT)
    assert store.emitted.items("films") == {"a", "b", "c"}
    assert store.emitted.items("shop") == set()
