"""A home at a time of our choosing: what tests of days and clocks share."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from ondevice.domain import Kind
from ondevice.service import streams
from ondevice.service.behave import history, log_one
from ondevice.service.session import Session
from ondevice.store import Stream

START = datetime(2026, 3, 1, 20, 30, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
EAST = 5 * 3600  # the zone of these tests: midnight is 19:00 UTC


class Time:
    """What the clock of the program says."""

    def __init__(self) -> None:
        self.now, self.offset = START, EAST


def made(tmp_path: Path, text: str, name: str = "home") -> Path:
    home = tmp_path / name
    home.mkdir(mode=0o700, exist_ok=True)
    (home / "config.toml").write_text(text, encoding="utf-8")
    return home


def did(session: Session, text: str, *, kind: Kind = Kind.LIKE, at: str | None = None) -> int:
    log_one(session, text, kind=kind, at=at)
    found = history(session, 1000).behaviours
    return next(one.id for one in found if one.text == text and one.id is not None)


def the_stream(session: Session) -> Stream:
    (stream,) = streams.open_streams(session)
    return stream


def rows(session: Session) -> int:
    streams.step_due(session)
    return session.store.releases.count(the_stream(session))


def entered(session: Session) -> dict[int, list[int]]:
    """Row → the behaviours in it."""
    found = session.store._db.rows("select t, behaviour from steps order by t, behaviour")
    return {t: [b for at, b in found if at == t] for t, _ in found}
