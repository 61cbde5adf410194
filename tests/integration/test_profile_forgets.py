"""Forgetting where rows come at public times, undo, and streams that ended."""

from pathlib import Path

import pytest

from ondevice.domain import Kind
from ondevice.errors import OnDeviceError
from ondevice.service.behave import history
from ondevice.service.private import profile
from ondevice.service.session import Session
from ondevice.store import packing
from tests.commands import here
from tests.profiles import DAY, Time, did, entered, made, rows, the_stream


@pytest.mark.parametrize("text", ['unit = "day"\n', 'shared_clock = "1h"\n'])
def test_what_is_forgotten_while_it_waits_was_never_there(
    tmp_path: Path, time: Time, text: str
) -> None:
    with Session.open(made(tmp_path, text)) as session:
        one = did(session, "bread")
        two = did(session, "a thing to forget")
        assert session.store.behaviours.withdraw(two).weight == 0.0
        time.now += DAY
        rows(session)
        assert entered(session) == {1: [one]}
        assert session.store.behaviours.steps(the_stream(session)).forgotten == 0


@pytest.mark.parametrize("text", ['unit = "day"\n', 'shared_clock = "1h"\n'])
def test_what_is_forgotten_leaves_the_sum_of_its_interval(
    tmp_path: Path, time: Time, text: str
) -> None:
    """Later rows mix the interval as if it had never been in it; what was released stays."""
    from ondevice.store.band import Band

    with Session.open(made(tmp_path, text)) as session:
        did(session, "bread")
        two = did(session, "a thing to forget")
        time.now += DAY
        total = rows(session)
        stream = the_stream(session)
        released = list(session.store.releases.rows(stream))
        kept = [
            packing.unpack_step(x)
            for (x,) in session.store._db.rows("select x from steps where behaviour <> ?", two)
        ]
        before = Band(session.store._db, stream)._last_steps()[total - 1]
        assert session.store.behaviours.withdraw(two).weight > 0.0
        after = Band(session.store._db, stream)._last_steps()[total - 1]
        assert before != after
        assert after == kept[0]
        assert list(session.store.releases.rows(stream)) == released
        past = session.store.behaviours.steps(stream)
        assert past.forgotten == 1
        assert [step.x for step in past.individual] == [kept[0]]


def test_undo_is_a_forget_and_never_a_step(tmp_path: Path, time: Time) -> None:
    home = made(tmp_path, "")
    item = here("recommend", "--json", home=home).document["items"][0]["id"]
    assert here("feedback", item, "like", home=home).code == 0
    assert here("feedback", item, "undo", home=home).code == 0
    with Session.open(home) as session:
        stream = the_stream(session)
        assert session.store.releases.count(stream) == 1  # nothing compensates it
        past = session.store.behaviours.steps(stream)
        assert (past.individual, past.forgotten) == ((), 1)
        assert history(session, 9).total == 0


def test_a_stream_that_ended_takes_nothing_more(hours: Session, time: Time) -> None:
    """Another process restarted the profile between looking at it and recording."""
    from ondevice.domain import Behaviour
    from ondevice.service.life import restart
    from ondevice.store import Entry

    did(hours, "bread")
    old = the_stream(hours)
    restart(hours)
    late = Entry(
        behaviour=Behaviour(text="late", kind=Kind.VIEW, at=time.now),
        stream=old,
        step=(0,) * old.parameters.dimension,
        now=time.now,
    )
    with pytest.raises(OnDeviceError, match="restarted"):
        hours.store.record(late)
    assert history(hours, 9).total == 1
    assert profile(hours).waiting == 1  # what waited goes into the new stream
