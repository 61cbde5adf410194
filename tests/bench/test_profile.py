"""What the life of a profile costs: a behaviour to a refreshed profile, and missed rows (CPU)."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from ondevice import clock
from ondevice.domain import Kind
from ondevice.paths import Home
from ondevice.privacy.cadence import Clock
from ondevice.privacy.stream import StreamParameters
from ondevice.service import streams
from ondevice.service.behave import log_one
from ondevice.service.demo import demo_session
from ondevice.service.private import released_profile
from ondevice.service.session import Session
from ondevice.store import Store, row_maker

pytestmark = pytest.mark.bench
ROUNDS = 15
START = datetime(2026, 1, 1, tzinfo=UTC)


def cpu_ms(work: Callable[[], object], rounds: int = ROUNDS) -> float:
    work()
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - before))
    return float(np.median(taken))


def test_a_behaviour_to_a_refreshed_profile(tmp_path: Path) -> None:
    """Beyond encoding: an item's vector is known, so nothing is encoded."""
    with demo_session(tmp_path / "home") as session:
        numbers = iter(range(10**6))

        def refreshed() -> None:
            log_one(
                session,
                f"noted {next(numbers)}",
                kind=Kind.VIEW,
                item="film:stalker",
                catalogue="films-and-books",
            )
            released_profile(session, session.base_space)

        print("\na behaviour to a refreshed profile (CPU ms, median)")
        for behaviours in (80, 600):
            while session.store.behaviours.count() < behaviours:
                refreshed()
            print(f"  after {behaviours:>5} behaviours {cpu_ms(refreshed):>10.2f}")
            past = cpu_ms(lambda: streams.past_of(session, session.base_space), 5)
            print(f"  its past, for explanations  {past:>10.2f}")
        kept = session.store._db.rows("select count(*) from steps where x is not null")
        print(f"  steps with a vector         {kept[0][0]:>10}")
        assert kept[0][0] < 8 * session.base_space.half_life + 20


def test_ten_thousand_missed_rows(tmp_path: Path) -> None:
    """More than a year of a device that was off, at a row an hour."""
    with Store.open(Home(tmp_path / "home")) as store:
        stream = store.ledger.open_stream(
            space="ab" * 32,
            unit="behaviour",
            parameters=StreamParameters.for_budget(4.0, 1e-6, 48),
            cap_epsilon=4.0,
            cap_delta=1e-6,
            at=START,
            clock=Clock.every(3600, START),
        )
        before = time.process_time()
        made = store.tick(
            stream, now=START + timedelta(hours=10_000), make_row=row_maker(), limit=10_000
        )
        took = time.process_time() - before
        print(
            f"\n{made} missed rows of 48 numbers: {took:.1f} CPU s, {1e3 * took / made:.2f} ms each"
        )
        assert made == 10_000


def test_reading_when_nothing_is_due(tmp_path: Path) -> None:
    (tmp_path / "home").mkdir(mode=0o700)
    (tmp_path / "home" / "config.toml").write_text('shared_clock = "1d"\n', encoding="utf-8")
    with Session.open(tmp_path / "home") as session:
        log_one(session, "bread", kind=Kind.LIKE)
        print(f"\nnothing is due, CPU ms: {cpu_ms(lambda: streams.step_due(session)):.2f}")
        assert clock.now() >= START
