"""What streams cost together: the cap, what entered twice, days, and what an erased home keeps."""

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.errors import BudgetExhaustedError, ConfigError, IntegrityError
from ondevice.paths import Home
from ondevice.privacy.accountant import rho_of
from ondevice.privacy.cadence import Clock
from ondevice.store import Again, Carry, Entry, Row, Store, Stream, entries, keybox
from tests.ledgers import AT, OTHER, SPACE, D, opened, parameters


def step(store: Store, stream: Stream, name: str) -> None:
    store.record(
        Entry(behaviour=Behaviour(text=name, kind=Kind.USE, at=AT), stream=stream, step=(1, 2, 3)),
        lambda stream, inputs, state: Row(y=(0,) * D, state=b"state"),
    )


def no_row(stream: Stream, inputs: Sequence[tuple[int, ...]], state: bytes | None) -> Row:
    return Row(y=(0,) * D, state=b"state")


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path / "home")


def test_more_than_the_cap_is_refused_with_a_way_out(home: Home) -> None:
    with Store.open(home) as store:
        with pytest.raises(BudgetExhaustedError) as caught:
            opened(store, epsilon=4.1, cap=4.0)
        assert caught.value.exit_code == 4
        assert "config.toml" in caught.value.hint
        assert store.ledger.streams() == []
        assert store.ledger.spent() == 0.0
        opened(store, epsilon=4.0, cap=4.0)  # exactly the cap fits


def test_streams_of_behaviours_compose_in_parallel(home: Home) -> None:
    with Store.open(home) as store:
        for space in (SPACE, OTHER, SPACE):
            step(store, opened(store, space=space), f"{space} {store.behaviours.count()}")
        assert store.ledger.spent() == parameters().rho <= rho_of(4.0, 1e-6)


def test_a_behaviour_in_two_streams_is_charged_for_both(home: Home) -> None:
    with Store.open(home) as store:
        first, second = opened(store), opened(store, epsilon=1.0)
        step(store, first, "one")
        assert store.ledger.spent() == first.parameters.rho
        with store.transaction():  # what a rebuild does
            store._db.run("insert into released values (?, 1, zeroblob(24))", second.id)
            store._db.run("insert into steps values (?, 1, zeroblob(6), 1)", second.id)
        assert store.ledger.spent() == first.parameters.rho + second.parameters.rho


def test_streams_of_days_add_up(home: Home) -> None:
    with Store.open(home) as store:
        opened(store, unit="day", epsilon=1.0)
        opened(store, unit="day", epsilon=1.0, space=OTHER)
        spent = store.ledger.spent()
        assert spent == pytest.approx(2 * rho_of(1.0, 1e-6))
        with pytest.raises(BudgetExhaustedError):
            opened(store, unit="day", epsilon=4.0, space="ef" * 32)
        assert store.ledger.spent() == spent


def test_days_of_a_stream_that_ended_cost_nothing_more(home: Home) -> None:
    """A restart takes over at the day that was not released: no day is in both."""
    tomorrow = AT + timedelta(days=1)
    with Store.open(home) as store:
        first = opened(store, unit="day")
        assert store.tick(first, now=tomorrow, make_row=no_row) == 1
        assert store.ledger.spent_with(
            first.parameters,
            space=SPACE,
            unit="day",
            at=tomorrow,
            clock=Clock.daily(tomorrow, 3600),
        ) == pytest.approx(first.parameters.rho)
        second = opened(store, unit="day", at=tomorrow)
        assert store.ledger.spent() == first.parameters.rho
        assert store.tick(first, now=AT + timedelta(days=9), make_row=no_row) == 0  # it ended
        assert store.tick(second, now=AT + timedelta(days=3), make_row=no_row) == 2
        with pytest.raises(BudgetExhaustedError):  # that one would cover yesterday again
            opened(store, unit="day", at=AT)
        assert store.verify() == 2


def test_a_unit_of_a_day_needs_a_clock_of_days(home: Home) -> None:
    with Store.open(home) as store:
        for clock in (None, Clock.every(3600, AT)):
            with pytest.raises(ConfigError):
                store.ledger.open_stream(
                    space=SPACE,
                    unit="day",
                    parameters=parameters(),
                    cap_epsilon=4.0,
                    cap_delta=1e-6,
                    at=AT,
                    clock=clock,
                )
        assert store.ledger.streams() == []


def test_behaviours_that_enter_again_are_charged_at_once(home: Home) -> None:
    with Store.open(home) as store:
        first = opened(store, epsilon=1.0)
        step(store, first, "one")
        step(store, first, "two")
        again = [Again(behaviour=number, t=number, step=(number, 0, 0)) for number in (1, 2)]
        both = 2 * first.parameters.rho

        def open_again(cap: float) -> Stream:
            return store.ledger.open_stream(
                space=SPACE,
                unit="behaviour",
                parameters=parameters(1.0),
                cap_epsilon=cap,
                cap_delta=1e-6,
                at=AT,
                again=again,
            )

        with pytest.raises(BudgetExhaustedError):
            open_again(1.0)
        assert store.ledger.spent() == first.parameters.rho
        second = open_again(2.0)
        assert store.ledger.spent() == both  # before a row of it exists
        assert store.due(second, AT) == 2
        assert store.tick(second, now=AT, make_row=no_row, limit=1) == 1
        step(store, second, "three")  # what waited comes first
        assert [s.behaviour for s in store.behaviours.steps(second).individual] == [3, 2, 1]
        assert store.ledger.spent() == both
        assert store.verify() == 2


def test_a_release_goes_on_in_one_stream_only(home: Home) -> None:
    with Store.open(home) as store:
        first = opened(store)
        step(store, first, "one")
        second = store.ledger.open_stream(
            space=OTHER,
            unit="behaviour",
            parameters=parameters(),
            cap_epsilon=4.0,
            cap_delta=1e-6,
            at=AT,
            carry=Carry(after=first.id, map=bytes(8 * D * D)),
        )
        assert store.ledger.carry_of(second) == (first, bytes(8 * D * D))
        assert store.ledger.carry_of(first) is None
        assert store.ledger.current(SPACE) is None  # it has ended
        assert store.ledger.open_streams() == [second]
        assert store.ledger.spent() == first.parameters.rho


def test_a_total_is_what_was_spent_and_nothing_else(home: Home) -> None:
    with Store.open(home) as store:
        step(store, opened(store), "one")
        blob = store.ledger.total(1e-6)
        key = keybox.read(home).ledger_key
        assert entries.open_total(key, blob) == entries.Total(
            rho=store.ledger.spent(), delta=1e-6, unit="behaviour"
        )
    assert str(AT.year).encode() not in blob
    with pytest.raises(IntegrityError):
        entries.open_total(bytes(32), blob)
    for broken in (b"", b"{}", blob.replace(b"behaviour", b"day"), blob[:-1]):
        with pytest.raises(IntegrityError):
            entries.open_total(key, broken)
