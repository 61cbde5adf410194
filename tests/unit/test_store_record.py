"""Recording: one transaction, consecutive rows, the right inputs, and nothing twice."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError, FormatError, IntegrityError
from ondevice.paths import Home
from ondevice.privacy import decoder
from ondevice.privacy.randomness import SystemRandomness
from ondevice.privacy.stream import StreamParameters, row
from ondevice.store import Entry, Row, Store, Stream, packing
from ondevice.store.band import Step

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
D, BAND = 3, 4
RANDOM = SystemRandomness()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(Home(tmp_path / "home")) as store:
        yield store


@pytest.fixture
def stream(store: Store) -> Stream:
    return opened(store)


def opened(store: Store, space: str = "ab" * 32, unit: str = "behaviour") -> Stream:
    return store.ledger.open_stream(
        space=space,
        unit=unit,
        parameters=StreamParameters.for_budget(4.0, 1e-6, D, half_life=BAND),
        cap_epsilon=4.0,
        cap_delta=1e-6,
        at=AT,
    )


def entry(number: int, stream: Stream | None, **changes: Any) -> Entry:
    fields: dict[str, Any] = {"text": f"thing {number}", "kind": Kind.VIEW, "at": AT} | changes
    return Entry(behaviour=Behaviour(**fields), stream=stream, step=(number, -number, 1))


def real_row(stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
    """What production does."""
    p = stream.parameters
    y = row(p, inputs, RANDOM)
    before = decoder.StreamState.from_bytes(p, state) if state else decoder.StreamState.start(p)
    return Row(y=y, state=decoder.advance(p, before, y).to_bytes(p))


class Watcher:
    """Notes what it was asked for."""

    def __init__(self) -> None:
        self.calls: list[tuple[int, tuple[Step, ...], bytes | None]] = []

    def __call__(self, stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        self.calls.append((stream.id, tuple(inputs), state))
        return Row(y=inputs[0], state=b"after %d" % len(self.calls))


def test_one_behaviour_one_row(store: Store, stream: Stream) -> None:
    done = store.record(entry(5, stream), real_row)
    assert (done.t, done.duplicate) == (1, False)
    assert store.behaviours.get(done.id).text == "thing 5"
    assert store.releases.count(stream) == 1
    assert store.releases.counts() == {stream.id: 1}


def test_the_band_is_the_last_steps_newest_first(store: Store, stream: Stream) -> None:
    watch = Watcher()
    store.record_many([entry(n, stream) for n in range(1, 4)], watch)
    for n in range(4, 8):
        store.record(entry(n, stream), watch)
    for at, (_, inputs, state) in enumerate(watch.calls, start=1):
        first = max(1, at - BAND + 1)
        assert inputs == tuple((n, -n, 1) for n in range(at, first - 1, -1))
        assert state == (None if at == 1 else b"after %d" % (at - 1))
    assert list(store.releases.rows(stream)) == [(n, -n, 1) for n in range(1, 8)]
    assert list(store.releases.rows(stream, first=6)) == [(6, -6, 1), (7, -7, 1)]


def test_a_forgotten_step_enters_later_rows_as_zeros(store: Store, stream: Stream) -> None:
    watch = Watcher()
    ids = [store.record(entry(n, stream), watch).id for n in (1, 2)]
    store.behaviours.withdraw(ids[1])
    store.record(entry(3, stream), watch)
    assert watch.calls[-1][1] == ((3, -3, 1), (0, 0, 0), (1, -1, 1))
    assert list(store.releases.rows(stream))[1] == (2, -2, 1)  # what was released stays
    assert store.verify() == 1


def test_two_streams_do_not_mix(store: Store, stream: Stream) -> None:
    other, watch = opened(store, "cd" * 32), Watcher()
    batch = [entry(n, (stream, other)[n % 2]) for n in range(1, 7)]
    done = store.record_many(batch, watch)
    assert [r.t for r in done] == [1, 1, 2, 2, 3, 3]
    for stream_id, inputs, _ in watch.calls:
        assert {x[0] % 2 for x in inputs} == {int(stream_id == other.id)}


def test_the_kept_state_is_what_a_replay_gives(store: Store, stream: Stream) -> None:
    store.record_many([entry(n, stream) for n in range(30)], real_row)
    store.record(entry(99, stream), real_row)
    state = store.releases.state(stream)
    assert state is not None
    p = stream.parameters
    kept = decoder.read_out(p, decoder.StreamState.from_bytes(p, state))
    replayed = decoder.decode(p, store.releases.rows(stream))
    assert kept.steps == 31
    np.testing.assert_array_equal(kept.v, replayed.v)


def test_the_same_behaviour_is_recorded_once(store: Store, stream: Stream) -> None:
    watch = Watcher()
    first = store.record(entry(1, stream), watch)
    again = store.record_many([entry(1, stream), entry(2, stream), entry(2, stream)], watch)
    assert [(r.id, r.t, r.duplicate) for r in again] == [
        (first.id, None, True),
        (first.id + 1, 2, False),
        (first.id + 1, None, True),
    ]
    assert len(watch.calls) == 2


@pytest.mark.parametrize(
    "change",
    [
        {"text": "other"},
        {"kind": Kind.LIKE},
        {"item": "i"},
        {"item": ""},
        {"catalogue": "c"},
        {"at": AT + timedelta(microseconds=1)},
        {"source": "import"},
    ],
)
def test_a_difference_makes_another_behaviour(store: Store, change: dict[str, Any]) -> None:
    first = store.record(entry(1, None))
    assert not store.record(entry(1, None, **change)).duplicate
    assert store.record(entry(1, None, **change)).duplicate
    assert store.behaviours.get(first.id) != store.behaviours.get(first.id + 1)


def test_the_zone_of_a_time_makes_no_difference(store: Store) -> None:
    from datetime import timezone

    store.record(entry(1, None))
    elsewhere = AT.astimezone(timezone(timedelta(hours=-7)))
    assert store.record(entry(1, None, at=elsewhere)).duplicate


def test_a_failure_anywhere_leaves_nothing(store: Store, stream: Stream) -> None:
    store.record(entry(1, stream), real_row)
    before = store.releases.state(stream)

    def fail_at_third(stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        if inputs[0][0] == 4:
            raise ZeroDivisionError
        return real_row(stream, inputs, state)

    with pytest.raises(ZeroDivisionError):
        store.record_many([entry(n, stream) for n in (2, 3, 4)], fail_at_third)

    assert store.behaviours.count() == store.releases.count(stream) == 1
    assert store.releases.state(stream) == before
    assert store.record(entry(2, stream), real_row).t == 2
    assert store.verify() == 1


def test_a_failure_inside_a_larger_transaction_does_not_tear_it(
    store: Store, stream: Stream
) -> None:
    def fail(stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        raise ZeroDivisionError

    with store.transaction():
        store.record(entry(1, stream), real_row)
        with pytest.raises(ZeroDivisionError):
            store.record_many([entry(2, None), entry(3, stream)], fail)
        store.record(entry(4, stream), real_row)
    assert [b.text for b in store.behaviours.recent(9)] == ["thing 4", "thing 1"]
    assert store.verify() == 1


@pytest.mark.parametrize("y", [(1, 2), (1, 2, 3, 4), (1, 2, 1 << 63), (-(1 << 63) - 1, 0, 0), ()])
def test_a_row_that_does_not_fit_is_refused(
    store: Store, stream: Stream, y: tuple[int, ...]
) -> None:
    with pytest.raises(FormatError):
        store.record(entry(1, stream), lambda stream, inputs, state: Row(y=y, state=b"s"))
    assert store.behaviours.count() == 0


@pytest.mark.parametrize("step", [(1, 2), (1, 2, 3, 4), (16384, 1, 0), (1 << 20, 0, 0), ()])
def test_a_step_that_was_not_paid_for_is_refused(
    store: Store, stream: Stream, step: tuple[int, ...]
) -> None:
    wrong = Entry(behaviour=entry(1, None).behaviour, stream=stream, step=step)
    with pytest.raises(FormatError):
        store.record(wrong, real_row)
    assert store.behaviours.count() == 0


def test_the_largest_step_passes(store: Store, stream: Stream) -> None:
    largest = Entry(behaviour=entry(1, None).behaviour, stream=stream, step=(-16384, 0, 0))
    watch = Watcher()
    store.record(largest, watch)
    store.record(entry(2, stream), watch)
    assert watch.calls[1][1][1] == (-16384, 0, 0)


@pytest.mark.parametrize(
    "vector",
    [
        np.zeros((2, 2), np.float32),
        np.zeros(0, np.float32),
        np.zeros(4097, np.float32),
        np.array([1, np.nan], np.float32),
        np.array([1, np.inf], np.float32),
    ],
)
def test_a_vector_that_makes_no_sense_is_refused(store: Store, vector: Any) -> None:
    with pytest.raises(FormatError):
        store.record(Entry(behaviour=entry(1, None).behaviour, vector=vector))


@pytest.mark.parametrize(
    "change",
    [
        {"text": ""},
        {"text": "x" * 70_000},
        {"text": "\ud800"},
        {"source": ""},
        {"at": datetime(2026, 1, 1)},  # noqa: DTZ001  # the point
    ],
)
def test_a_behaviour_that_makes_no_sense_is_refused(store: Store, change: dict[str, Any]) -> None:
    with pytest.raises(ConfigError):
        store.record(entry(1, None, **change))
    assert store.behaviours.count() == 0


def test_a_stream_needs_its_row_maker_and_its_unit(store: Store, stream: Stream) -> None:
    with pytest.raises(ConfigError, match="draws its row"):
        store.record(entry(1, stream))


def test_a_stream_nobody_paid_for_takes_no_row(store: Store, stream: Stream) -> None:
    from dataclasses import replace

    with pytest.raises(IntegrityError, match="FOREIGN KEY"):
        store.record(entry(1, replace(stream, id=7)), real_row)
    assert store.behaviours.count() == 0


def test_numbers_survive_packing() -> None:
    step = (0, -1, 16384, -16384)
    y = (0, -1, (1 << 63) - 1, -(1 << 63), 10**15)
    assert packing.unpack_step(packing.pack_step(step)) == step
    assert packing.unpack_row(packing.pack_row(y)) == y
    for blob in (b"", b"1"):
        with pytest.raises(FormatError):
            packing.unpack_step(blob)
        with pytest.raises(FormatError):
            packing.unpack_row(blob)
    with pytest.raises(FormatError):
        packing.pack_step((1 << 15,))
    with pytest.raises(FormatError):
        packing.pack_row((1.5,))  # type: ignore[arg-type]  # on purpose


def test_times_survive_packing() -> None:
    for at in (AT, AT.replace(microsecond=123456), datetime(1931, 5, 1, tzinfo=UTC)):
        assert packing.moment(packing.ticks(at)) == at
