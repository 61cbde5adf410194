"""What the owner said of single items: an append-only log, and the state that follows from it.

An undo is an event that names the one it undoes. Of like, less and hide the newest that was not
undone counts; open and dwell say that it was seen, and count where no opinion does.
"""

import math
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ondevice.domain import DWELL_COUNTS, Verdict
from ondevice.errors import ConfigError, NotReadyError
from ondevice.store import packing
from ondevice.store.connection import Connection

_STANDING = "verdict <> 'undo' and id not in (select undoes from feedback where undoes is not null)"
_OPINION = "verdict in ('like', 'less', 'hide')"
_COLUMNS = "id, catalogue, item, verdict, seconds, at, behaviour"


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedbackEvent:
    """One verdict. `undone` says whether a later event took it back."""

    id: int
    catalogue: str
    item: str
    verdict: Verdict
    at: datetime
    seconds: float | None = None  # of a dwell
    behaviour: int | None = None  # the behaviour recorded with it; None if none, or forgotten
    undone: bool = False


class Feedback:
    """The feedback of one open store."""

    def __init__(self, connection: Connection) -> None:
        self._db = connection

    def add(
        self,
        catalogue: str,
        item: str,
        verdict: Verdict,
        *,
        at: datetime,
        seconds: float | None = None,
        behaviour: int | None = None,
    ) -> int:
        """Log one verdict and return its id.

        Raises:
            ConfigError: a dwell without seconds, or seconds without a dwell.
        """
        if not catalogue or not item:
            raise ConfigError("feedback names an item and its catalogue")
        fits = math.isfinite(seconds) and seconds >= 0 if seconds is not None else True
        if (verdict is Verdict.DWELL) != (seconds is not None) or not fits:
            raise ConfigError("a dwell, and nothing else, has a number of seconds >= 0")
        return self._db.insert(
            "insert into feedback (catalogue, item, verdict, seconds, at, behaviour) "
            "values (?, ?, ?, ?, ?, ?)",
            *(catalogue, item, str(verdict), seconds, packing.ticks(at), behaviour),
        )

    def undo(self, catalogue: str, item: str, *, at: datetime) -> FeedbackEvent:
        """Take back the newest like, less or hide of `item`, else its newest open or dwell.

        The next list holds on to nothing that was shown. The event that is returned has a
        `behaviour`: what the caller withdraws with it, since no step ever compensates another.

        Raises:
            NotReadyError: there is none to take back.
        """
        with self._db.transaction():
            row = self._db.row(
                f"select {_COLUMNS}, 1 from feedback "  # noqa: S608
                f"where catalogue = ? and item = ? and {_STANDING} "
                f"order by {_OPINION} desc, id desc limit 1",
                *(catalogue, item),
            )
            if row is None:
                raise NotReadyError(
                    f"there is nothing to undo for '{item}'",
                    hint="see what there is: ondevice-rec feedback --list",
                )
            self._db.run(
                "insert into feedback (catalogue, item, verdict, at, undoes) "
                "values (?, ?, 'undo', ?, ?)",
                *(catalogue, item, packing.ticks(at), row[0]),
            )
            self._db.run("delete from shown")
        return _event(row)

    def current(self, catalogue: str) -> dict[str, Verdict]:
        """Return item → like, less or hide, in the order in which they were said."""
        rows = self._db.rows(
            f"select item, verdict from feedback where catalogue = ? and {_OPINION} "  # noqa: S608
            f"and {_STANDING} order by id",
            catalogue,
        )
        state: dict[str, Verdict] = {}
        for item, verdict in rows:
            state.pop(item, None)
            state[item] = Verdict(verdict)
        return state

    def standing(self, catalogue: str) -> dict[str, Verdict]:
        """Return `current`, and open or dwell of items without an opinion, in their order."""
        rows = self._db.rows(
            f"select item, verdict, {_OPINION} from feedback where catalogue = ? "  # noqa: S608
            f"and {_STANDING} and (verdict <> 'dwell' or seconds >= ?) order by id",
            *(catalogue, DWELL_COUNTS),
        )
        opinions = {item for item, _, opinion in rows if opinion}
        state: dict[str, Verdict] = {}
        for item, verdict, opinion in rows:
            if opinion or item not in opinions:
                state.pop(item, None)
                state[item] = Verdict(verdict)
        return state

    def items(self, catalogue: str) -> set[str]:
        """Return the items of `catalogue` with any verdict that stands."""
        rows = self._db.rows(
            f"select distinct item from feedback where catalogue = ? and {_STANDING}",  # noqa: S608
            catalogue,
        )
        return {item for (item,) in rows}

    def log(self, limit: int = 1000) -> list[FeedbackEvent]:
        """Return the newest events, newest first; undone ones say so, undo events are left out."""
        rows = self._db.rows(
            f"select {_COLUMNS}, id in (select undoes from feedback where undoes is not null) "  # noqa: S608
            "from feedback where verdict <> 'undo' order by id desc limit ?",
            limit,
        )
        return [_event(row) for row in rows]


def _event(row: tuple[Any, ...]) -> FeedbackEvent:
    number, catalogue, item, verdict, seconds, at, behaviour, undone = row
    return FeedbackEvent(
        id=number,
        catalogue=catalogue,
        item=item,
        verdict=Verdict(verdict),
        seconds=seconds,
        at=packing.moment(at),
        behaviour=behaviour,
        undone=bool(undone),
    )
