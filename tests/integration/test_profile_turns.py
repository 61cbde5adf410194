"""A profile begun anew, fed again, and carried into another space."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from ondevice import clock
from ondevice.domain import Kind
from ondevice.errors import BudgetExhaustedError, NotReadyError
from ondevice.formats.catalogue import Catalogue
from ondevice.formats.space import Space
from ondevice.service import bridge, streams
from ondevice.service.behave import log_one
from ondevice.service.life import prepare, restart
from ondevice.service.private import budget, released_profile
from ondevice.service.recommend import recommend
from ondevice.service.session import Session
from tests.commands import here, process

FILMS = "films-and-books"


def configure(home: Path, text: str) -> None:
    (home / "config.toml").write_text(text, encoding="utf-8")


@pytest.fixture
def person(home: Path) -> Iterator[Session]:
    """The sample person, with 80 behaviours."""
    with Session.open(home) as session:
        yield session


# --- restart -------------------------------------------------------------------------------------


def test_a_restart_costs_nobody_twice_and_goes_on(person: Session) -> None:
    before = released_profile(person, person.base_space)
    spent = person.store.ledger.spent()
    done = restart(person)
    assert (done.streams, done.kept) == (1, True)
    after = released_profile(person, person.base_space)
    np.testing.assert_allclose(after.u, before.u, atol=1e-12)
    assert after.steps == 80
    for n in range(20):
        log_one(person, f"sailing boats, number {n}", kind=Kind.LIKE)
    assert person.store.ledger.spent() == spent  # parallel composition
    assert [one.rows for one in budget(person).streams] == [80, 20]
    faded = released_profile(person, person.base_space)
    assert faded.steps == 100
    assert person.store.verify() == 2


def test_what_went_on_is_explained_and_sums_up(person: Session) -> None:
    old = person.store.behaviours.steps(streams.open_streams(person)[0])
    restart(person)
    log_one(person, "sailing boats", kind=Kind.LIKE)
    past = streams.past_of(person, person.base_space)
    assert past is not None
    assert len(past.individual) == len(old.individual) + 1
    assert [step.age for step in past.individual[1:4]] == [1, 2, 3]
    beta = 2.0 ** (-1 / person.base_space.half_life)
    total = past.older + sum(beta**s.age * np.array(s.x) for s in past.individual)
    was = old.older + sum(beta**s.age * np.array(s.x) for s in old.individual)
    np.testing.assert_allclose(total, beta * was + np.array(past.individual[0].x), atol=1e-6)


def test_an_empty_restart_forgets_the_release_but_not_the_cost(person: Session) -> None:
    spent = person.store.ledger.spent()
    restart(person, keep=False)
    after = released_profile(person, person.base_space)
    assert after.steps == 0
    assert not after.v.any()
    assert person.store.ledger.spent() == spent


def test_a_lowered_cap_holds_from_a_restart_on(home: Path) -> None:
    configure(home, "epsilon = 2.0\n")
    message = here("log", "one more thing", home=home).refused(4)
    assert "profile restart" in message
    told = here("profile", "restart", home=home)
    assert (told.code, "nothing is charged twice" in told.out) == (0, True)
    assert here("log", "one more thing", home=home).out == "1 recorded\n"
    found = here("budget", "--json", home=home).document
    assert [round(one["epsilon"], 6) for one in found["streams"]] == [4.0, 2.0]
    assert found["epsilon"] == pytest.approx(4.0, abs=1e-6)  # of what was recorded before


def test_a_restart_of_nothing_says_so(tmp_path: Path) -> None:
    told = here("profile", "restart", "--json", home=tmp_path / "home")
    assert told.document["streams"] == 0


def test_restarts_go_on_through_several(person: Session) -> None:
    before = released_profile(person, person.base_space)
    for _ in range(4):
        restart(person)
    np.testing.assert_allclose(released_profile(person, person.base_space).u, before.u, atol=1e-12)


def test_a_refreshed_profile_costs_little_beyond_encoding(person: Session) -> None:
    """25 ms of CPU are the budget; a busy machine gets three times that."""
    import time

    taken = []
    for n in range(12):
        before = time.process_time()
        log_one(
            person, f"seen {n}", kind=Kind.VIEW, item="film:stalker", catalogue="films-and-books"
        )
        released_profile(person, person.base_space)
        taken.append(time.process_time() - before)
    assert sorted(taken)[6] < 3 * 0.025


# --- rebuild -------------------------------------------------------------------------------------


def test_a_rebuild_beyond_the_cap_is_refused_with_a_way_out(home: Path) -> None:
    before = here("budget", "--json", home=home).document
    message = here("profile", "rebuild", "--yes", home=home).refused(4)
    assert "epsilon = 6" in message
    assert "profile restart" in message
    assert here("budget", "--json", home=home).document == before
    assert process("profile", "rebuild", "--yes", "--home", home).returncode == 4


def test_a_rebuild_shows_the_new_maximum_and_asks(home: Path) -> None:
    configure(home, "epsilon = 6.0\n")
    asked = here("profile", "rebuild", home=home)
    assert asked.code == 2
    assert "80 things you did would enter the profile a second time" in asked.err
    assert "from epsilon 4 to 5.91, of 6 allowed" in asked.err
    assert "--yes" in asked.err
    assert len(here("budget", "--json", home=home).document["streams"]) == 1

    done = here("profile", "rebuild", "--yes", "--json", home=home).document
    assert done["behaviours"] == 80
    found = here("budget", "--json", home=home).document
    assert found["epsilon"] == pytest.approx(done["epsilon_after"], abs=1e-6)
    assert [one["rows"] for one in found["streams"]] == [80, 80]
    assert here("log", "one more thing", home=home).out == "1 recorded\n"
    assert here("profile", "rebuild", "--yes", home=home).code == 4  # a third time


def test_a_rebuild_that_was_killed_goes_on(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    configure(home, "epsilon = 6.0\n")
    with Session.open(home) as session:
        found = prepare(session)
        with monkeypatch.context() as patch:
            patch.setattr("ondevice.service.life.step_due", lambda _: 0)  # killed before its rows
            found.agree()
        charged = session.store.ledger.spent()
    with Session.open(home) as session:
        assert session.store.ledger.spent() == charged
        profile = released_profile(session, session.base_space)  # the next use makes the rows
        assert profile.steps == 80
        assert session.store.verify() == 2


def test_a_rebuild_feeds_the_newest_eight_half_lives(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    configure(home, "epsilon = 6.0\n")
    monkeypatch.setattr("ondevice.service.life.HALF_LIVES", 1)
    with Session.open(home) as session:
        found = prepare(session)
        assert found.plan.behaviours == session.base_space.half_life == 64
        found.agree()
        past = streams.past_of(session, session.base_space)
        assert past is not None
        assert [step.age for step in past.individual] == list(range(64))
        newest = session.store.behaviours.recent(1)[0]
        assert past.individual[0].label == newest.text


def test_a_rebuild_without_behaviours_is_not_ready(tmp_path: Path) -> None:
    here("profile", "rebuild", "--yes", home=tmp_path / "home").refused(3)


def test_days_are_fed_again_day_by_day(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What came on one day enters one row again, and each such day is charged for both."""
    home = tmp_path / "home"
    home.mkdir(mode=0o700)
    configure(home, 'unit = "day"\nepsilon = 2.0\n')
    real = clock.now
    shift = timedelta(0)
    monkeypatch.setattr(clock, "now", lambda: real() + shift)
    with Session.open(home) as session:
        for _ in range(3):
            for word in ("bread", "rye"):
                log_one(session, f"{word} {shift.days}", kind=Kind.LIKE)
            shift += timedelta(days=2)
        streams.step_due(session)
        (first,) = streams.open_streams(session)
        together = _together(session, first.id)
        assert [len(each) for each in together] == [2, 2, 2]
        with pytest.raises(BudgetExhaustedError):
            prepare(session)
    configure(home, 'unit = "day"\nepsilon = 3.1\n')
    with Session.open(home) as session:
        before = session.store.ledger.spent()
        plan = prepare(session).agree()
        (second,) = streams.open_streams(session)
        assert second.id != first.id
        assert _together(session, second.id) == together
        assert session.store.releases.count(second) == 6  # empty days in between as well
        assert session.store.ledger.spent() == pytest.approx(before + second.parameters.rho)
        assert plan.unit == "day"
        assert session.store.verify() == 2


def _together(session: Session, stream: int) -> list[set[int]]:
    rows = session.store._db.rows("select t, behaviour from steps where stream = ?", stream)
    return [{b for at, b in rows if at == t} for t in sorted({t for t, _ in rows})]


# --- another space -------------------------------------------------------------------------------


def turned(space: Space, rotation: "np.ndarray[tuple[int, int], np.dtype[np.float64]]") -> Space:
    """Return the space of another encoder that sees the same, from another side."""
    r = rotation.astype(np.float32)
    return replace(
        space,
        name="turned",
        encoder="ef" * 32,
        projection=r @ space.projection,
        mean=r @ space.mean,
        between=np.asarray(r @ space.between @ r.T, dtype=np.float32),
        within=np.asarray(r @ space.within @ r.T, dtype=np.float32),
    )


def into(session: Session, space: Space, noise: float) -> None:
    """Put this device's catalogues into `space`, seen with a little `noise` of another encoder."""
    rng = np.random.default_rng(5)
    r = np.linalg.lstsq(session.base_space.projection.T, space.projection.T, rcond=None)[0].T
    moved = {}
    for one in session.installed():
        old = session.catalogue(one.id)
        vectors = old.unit().astype(np.float64) @ r.T
        vectors = vectors + noise * rng.standard_normal(vectors.shape)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        moved[one.id] = Catalogue.in_memory(
            [old.records[row] for row in range(len(old))],
            vectors.astype(np.float32),
            old.bias,
            space,
            catalogue=one.id,
            title=one.title,
        )
    session._catalogues = moved
    session.__dict__["base_space"] = space


def test_a_new_space_takes_the_old_release_over(
    person: Session, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The list stays the person's, instead of falling back to the typical one."""
    old = person.base_space
    bridge.keep_anchors(person, old)
    before = [one.item.id for one in recommend(person, catalogue=FILMS, limit=20).items]
    rotation = np.linalg.qr(np.random.default_rng(3).standard_normal((old.dimension,) * 2))[0]
    space = turned(old, rotation)
    into(person, space, noise=0.02)

    def hits() -> int:
        after = recommend(person, catalogue=FILMS, limit=20).items
        return len(set(before) & {one.item.id for one in after})

    carried = hits()  # before anything is recorded in the new space
    with monkeypatch.context() as patch:
        patch.setattr(bridge, "predecessor", lambda session, space: None)
        typical = hits()
    assert carried >= 14
    assert typical < carried - 5

    spent = person.store.ledger.spent()
    bridge.keep_anchors(person, space)
    stream = streams.ensure_stream(person, space)
    assert person.store.ledger.carry_of(stream) is not None
    assert person.store.ledger.current(old.digest) is None
    assert person.store.ledger.spent() == spent
    assert hits() >= 14
    past = streams.past_of(person, space)
    assert past is not None
    assert len(past.individual) == 80
    assert person.store.verify() == 2


def test_behaviours_have_no_part_in_the_map(home: Path, tmp_path: Path) -> None:
    """Two homes with the same rows and different raw state are carried over by the same map."""
    import shutil

    other = Path(shutil.copytree(home, tmp_path / "other"))
    maps = []
    for where, forget in ((home, False), (other, True)):
        with Session.open(where) as session:
            old = session.base_space
            bridge.keep_anchors(session, old)
            if forget:
                kept = session.store.behaviours.recent(80)
                session.store.behaviours.withdraw_many([one.id for one in kept[:50] if one.id])
            into(session, turned(old, np.eye(old.dimension)[::-1]), noise=0.01)
            found = bridge.predecessor(session, session.base_space)
            assert found is not None
            maps.append(found[1].tobytes())
    assert maps[0] == maps[1]


def test_a_space_that_is_still_used_is_not_taken_over(person: Session) -> None:
    old = person.base_space
    bridge.keep_anchors(person, old)
    another = replace(old, name="a publisher's")
    assert bridge.predecessor(person, another) is None
    stream = streams.ensure_stream(person, another)
    assert person.store.ledger.carry_of(stream) is None
    assert person.store.ledger.current(old.digest) is not None


def test_nothing_recorded_is_not_ready_and_no_error(tmp_path: Path) -> None:
    with Session.open(tmp_path / "home") as session:
        assert streams.step_due(session) == 0
        with pytest.raises(NotReadyError):
            prepare(session)
