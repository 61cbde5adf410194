"""Rows at public times: days, the clock of the shared view, waiting, catching up, forgetting."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ondevice.errors import BudgetExhaustedError
from ondevice.privacy.accountant import rho_of
from ondevice.privacy.clipping import RADIUS, inner_radius
from ondevice.service import streams
from ondevice.service.private import budget, released_profile
from ondevice.service.recommend import recommend
from ondevice.service.session import Session
from ondevice.store import Row, Stream, packing, row_maker
from tests.commands import here
from tests.profiles import DAY, EAST, HOUR, START, Time, did, entered, made, rows, the_stream

# --- unit = day ----------------------------------------------------------------------------------


def test_every_day_is_one_row_also_an_empty_one(days: Session, time: Time) -> None:
    one, two = did(days, "bread"), did(days, "rye and wheat")
    assert rows(days) == 0  # the day has not ended
    time.now = datetime(2026, 3, 2, 18, 59, tzinfo=UTC)
    assert rows(days) == 0
    time.now = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)  # midnight in this zone
    assert rows(days) == 1
    time.now += 3 * DAY
    three = did(days, "a film")  # what is due is released first
    assert rows(days) == 4
    time.now += DAY
    assert rows(days) == 5
    assert entered(days) == {1: [one, two], 5: [three]}
    assert the_stream(days).unit == "day"
    assert days.store.verify() == 1


def test_days_begin_where_they_began_when_the_stream_opened(days: Session, time: Time) -> None:
    did(days, "bread")
    time.offset = -8 * 3600  # the person has moved
    time.now = datetime(2026, 3, 2, 19, 0, tzinfo=UTC)
    assert rows(days) == 1
    did(days, "rye")
    assert the_stream(days).clock is not None
    assert the_stream(days).clock.offset == EAST  # type: ignore[union-attr]  # just above


def test_a_late_behaviour_counts_for_the_day_on_which_it_came(days: Session, time: Time) -> None:
    did(days, "bread")
    time.now += 5 * DAY
    late = did(days, "an old film", at="2026-03-01T21:00")
    assert rows(days) == 5
    time.now += DAY
    assert rows(days) == 6
    assert entered(days)[6] == [late]


def test_a_charged_day_never_reopens(days: Session, time: Time) -> None:
    did(days, "bread")
    time.now += 3 * DAY
    assert rows(days) == 3
    time.now -= 2 * DAY  # the clock of the machine was set back
    late = did(days, "rye")
    assert rows(days) == 3
    time.now += 3 * DAY
    assert rows(days) == 4
    assert entered(days)[4] == [late]


def test_a_day_is_summed_and_then_clipped(days: Session, time: Time) -> None:
    for n in range(12):
        did(days, f"rye bread, number {n}")
    time.now += DAY
    assert rows(days) == 1
    found = days.store._db.rows("select x from steps")
    parts = [packing.unpack_step(x) for (x,) in found]
    total = [sum(part[i] for part in parts) for i in range(len(parts[0]))]
    assert sum(x * x for x in total) > 4 * RADIUS**2
    told = days.store.behaviours.steps(the_stream(days)).individual
    shares = [sum(step.x[i] for step in told) for i in range(len(parts[0]))]
    assert sum(x * x for x in shares) ** 0.5 == pytest.approx(RADIUS, rel=1e-3)


def test_spaces_open_on_one_day_share_the_cap(tmp_path: Path, time: Time) -> None:
    from dataclasses import replace

    with Session.open(made(tmp_path, 'unit = "day"\n')) as session:
        other = replace(session.base_space, name="another")
        streams.ensure_stream(session, session.base_space)
        with pytest.raises(BudgetExhaustedError) as caught:
            streams.ensure_stream(session, other)
        assert caught.value.exit_code == 4
    with Session.open(made(tmp_path, 'unit = "day"\nday_spaces = 2\n', "two")) as session:
        streams.ensure_stream(session, session.base_space)
        streams.ensure_stream(session, other)
        spent = session.store.ledger.spent()
        assert spent <= rho_of(4.0, 1e-6) * (1 + 1e-12)
        assert spent == pytest.approx(rho_of(4.0, 1e-6), rel=1e-6)
        with pytest.raises(BudgetExhaustedError):
            streams.ensure_stream(session, replace(other, name="a third"))


def test_days_by_command(tmp_path: Path, time: Time) -> None:
    home = made(tmp_path, 'unit = "day"\n')
    assert here("log", "bread", home=home).out == "1 recorded\n"
    shown = here("profile", "show", "--json", home=home).document
    assert (shown["steps"], shown["waiting"]) == (0, 1)
    told = here("budget", home=home).out
    assert "per day" in told
    time.now += DAY
    shown = here("profile", "show", "--json", home=home).document
    assert (shown["steps"], shown["waiting"]) == (1, 0)
    found = here("budget", "--json", home=home).document
    assert (found["unit"], found["epsilon"]) == ("day", pytest.approx(4.0, abs=1e-6))
    assert here("recommend", "--json", home=home).document["privacy"]["unit"] == "day"


def test_a_home_of_behaviours_may_change_to_days(tmp_path: Path, time: Time) -> None:
    home = made(tmp_path, "")
    with Session.open(home) as session:
        for n in range(5):
            did(session, f"rye bread, number {n}")
        before = released_profile(session, session.base_space)
    made(tmp_path, 'unit = "day"\n')
    with Session.open(home) as session:
        did(session, "a film about trains")
        assert the_stream(session).unit == "day"
        after = released_profile(session, session.base_space)
        assert (after.v == before.v).all()  # what was released goes on
        assert session.store.ledger.spent() <= rho_of(4.0, 1e-6) * (1 + 1e-12)
        assert budget(session).unit == "behaviour"  # what was recorded first is kept so


# --- the public clock ----------------------------------------------------------------------------


def test_every_interval_is_one_row_whatever_happens(hours: Session, time: Time) -> None:
    one = did(hours, "bread")
    time.now += HOUR
    two, three = did(hours, "rye"), did(hours, "a film")
    time.now += 3 * HOUR
    assert rows(hours) == 4
    assert entered(hours) == {1: [one], 2: [two, three]}
    assert [step.age for step in hours.store.behaviours.steps(the_stream(hours)).individual] == [
        2,
        2,
        3,
    ]
    assert the_stream(hours).unit == "behaviour"


def test_what_waits_survives_the_program(tmp_path: Path, time: Time) -> None:
    home = made(tmp_path, 'shared_clock = "1h"\n')
    with Session.open(home) as session:
        one = did(session, "bread")
    time.now += 2 * HOUR
    with Session.open(home) as session:
        assert recommend(session).steps == 2  # looking at a list is an opening
        assert entered(session) == {1: [one]}


def test_the_shared_view_does_not_show_what_happened_within_an_interval(
    tmp_path: Path, time: Time
) -> None:
    """Before the interval ends, a home in which much happened and one in which nothing did."""
    import shutil

    quiet = made(tmp_path, 'shared_clock = "1h"\n')
    with Session.open(quiet) as session:
        did(session, "bread")
        time.now += 2 * HOUR
        streams.step_due(session)
    busy = Path(shutil.copytree(quiet, tmp_path / "busy"))
    for n in range(4):
        assert here("log", f"a film, number {n}", home=busy).code == 0
    asked = ("recommend", "--view", "shared", "--json")
    assert here(*asked, home=busy).out == here(*asked, home=quiet).out
    time.now += HOUR
    with Session.open(quiet) as one, Session.open(busy) as other:
        assert rows(one) == rows(other) == 3  # and afterwards there are as many rows


def test_a_pending_sum_is_clipped_and_its_parts_a_little_shorter(
    hours: Session, time: Time
) -> None:
    for n in range(9):
        did(hours, f"rye bread, number {n}")
    inner = inner_radius(hours.base_space.dimension)
    found = [packing.unpack_step(x) for (x,) in hours.store._db.rows("select x from waiting")]
    assert len(found) == 9
    assert all(sum(x * x for x in step) <= inner**2 for step in found)
    time.now += HOUR
    assert rows(hours) == 1


def test_missed_intervals_are_made_up_for_in_portions(hours: Session, time: Time) -> None:
    """Every row is made, in bounded portions; meanwhile nothing is lost or out of turn."""
    did(hours, "bread")
    time.now += 150 * HOUR
    stream, store = the_stream(hours), hours.store
    assert store.tick(stream, now=time.now, make_row=row_maker(), limit=60) == 60
    assert store.due(stream, time.now) == 90
    late = did(hours, "rye")  # releases the rest of what is due first
    assert store.due(stream, time.now) == 0
    time.now += HOUR
    assert rows(hours) == 151
    assert entered(hours)[151] == [late]


class Watcher:
    """Draws rows as always, and notes what they were drawn from."""

    def __init__(self) -> None:
        self.inputs: list[tuple[tuple[int, ...], ...]] = []
        self._draw = row_maker()

    def __call__(
        self, stream: Stream, inputs: Sequence[tuple[int, ...]], state: bytes | None
    ) -> Row:
        self.inputs.append(tuple(inputs))
        return self._draw(stream, inputs, state)


def test_rows_do_not_depend_on_how_often_somebody_looked(tmp_path: Path, time: Time) -> None:
    """What enters each row, in a home that was opened every hour and in one opened at the end."""
    fed: dict[str, list[tuple[tuple[int, ...], ...]]] = {}
    for name, looks in (("often", True), ("once", False)):
        time.now = START
        with Session.open(made(tmp_path, 'shared_clock = "1h"\n', name)) as session:
            did(session, "bread")
            stream = the_stream(session)
            watch = Watcher()
            for _ in range(12):
                time.now += HOUR
                if looks:
                    session.store.tick(stream, now=time.now, make_row=watch)
            session.store.tick(stream, now=time.now, make_row=watch)
            assert session.store.releases.count(stream) == 12
            fed[name] = watch.inputs
    assert fed["often"] == fed["once"]
    assert any(any(step) for step in fed["once"][-1])


def test_a_hub_starts_the_clock_and_others_keep_it(tmp_path: Path, time: Time) -> None:
    home = made(tmp_path, "")
    with Session.open(home) as session:
        did(session, "bread")
        before = released_profile(session, session.base_space)
        streams.start_clock(session)
        first = the_stream(session)
        assert first.clock is not None
        assert first.clock.period == streams.HUB_PACE
        streams.start_clock(session)
        assert the_stream(session) == first
        assert (released_profile(session, session.base_space).v == before.v).all()
    with Session.open(home) as session:
        did(session, "rye")
        assert the_stream(session) == first
        assert session.store.behaviours.waiting(first) == 1
        assert session.store.ledger.spent() == first.parameters.rho
    made(tmp_path, 'shared_clock = "off"\n')
    with Session.open(home) as session:
        streams.start_clock(session)
        assert the_stream(session) == first
        did(session, "a film")
        assert the_stream(session).clock is None
        assert rows(session) == 2  # what waited came along, and came first


def test_turning_the_clock_on_costs_nothing_more(hours: Session, time: Time) -> None:
    did(hours, "bread")
    time.now += 30 * HOUR
    did(hours, "rye")
    assert hours.store.ledger.spent() == the_stream(hours).parameters.rho
    found = budget(hours)
    assert found.unit == "behaviour"
    assert found.epsilon == pytest.approx(4.0, abs=1e-6)
