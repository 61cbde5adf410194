"""When rows are due: at every behaviour, or at public times that nothing private decides.

[P12], [P13] and [P15] are discharged in PROOF.md, next to this file. Pure: the time is handed in.
"""

from dataclasses import dataclass
from datetime import UTC, datetime

from ondevice.errors import ConfigError

DAY = 86_400
SHORTEST = 60  # seconds
_OFFSET_MAX = 15 * 3600  # no zone lies further from UTC
_LAST = 1 << 40  # seconds since 1970


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """Row t collects what came in [start + (t-1) period, start + t period), and is due at its end.

    All three numbers are public and fixed when the stream opens.
    """

    start: int  # seconds since 1970
    period: int  # seconds
    offset: int = 0  # seconds east of UTC: where days begin

    def __post_init__(self) -> None:
        if not (
            SHORTEST <= self.period <= 366 * DAY
            and 0 <= self.start < _LAST
            and abs(self.offset) <= _OFFSET_MAX
        ):
            raise ConfigError(f"a stream can't step on {self}", hint="a minute is the shortest")

    @classmethod
    def every(cls, period: int, now: datetime) -> "Clock":
        """Return the clock of `period` seconds whose first interval holds `now`."""
        seconds = int(now.timestamp())
        return cls(start=seconds - seconds % period, period=period)

    @classmethod
    def daily(cls, now: datetime, offset: int) -> "Clock":
        """Return the clock of calendar days, `offset` seconds east of UTC, from today on."""
        seconds = int(now.timestamp())
        return cls(start=seconds - (seconds + offset) % DAY, period=DAY, offset=offset)

    def due(self, now: datetime) -> int:
        """Return how many rows are due: the intervals that have ended. Never negative."""
        return max(0, (int(now.timestamp()) - self.start) // self.period)

    def ends(self, t: int) -> datetime:
        """Return when row `t` is due."""
        return datetime.fromtimestamp(self.start + t * self.period, UTC)

    def interval(self, now: datetime, *, released: int) -> int:
        """Return the row that something recorded `now` enters.

        Args:
            now: the time of recording.
            released: rows that exist; none of them ever reopens, whatever the time says [P13].
        """
        return max(self.due(now), released) + 1

    def first_of(self, other: "Clock", t: int) -> int:
        """Return the row of this clock in which interval `t` of `other` begins, at least 1."""
        begins = other.start + (t - 1) * other.period
        return max(1, (begins - self.start) // self.period + 1)


def words(period: int) -> str:
    """Return `period` seconds in words: "hour", "15 minutes", "day"."""
    for size, name in ((DAY, "day"), (3600, "hour"), (60, "minute"), (1, "second")):
        count, rest = divmod(period, size)
        if not rest:
            return name if count == 1 else f"{count} {name}s"
    raise ConfigError(f"{period} is not a whole number of seconds")
