"""What is asked of the ledger: a stream, what goes on in it, and what enters it again."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ondevice.errors import ConfigError
from ondevice.store import entries
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    from ondevice.privacy.cadence import Clock
    from ondevice.privacy.stream import StreamParameters


@dataclass(frozen=True, slots=True, kw_only=True)
class Again:
    """A behaviour that is to enter a new stream as well: what a rebuild costs."""

    behaviour: int  # id
    t: int  # the row it enters; where rows come with behaviours, only the order counts
    step: tuple[int, ...]  # grid units


@dataclass(frozen=True, slots=True, kw_only=True)
class Carry:
    """The release of an older stream that goes on in a new one, by post-processing."""

    after: int  # id of the older stream, which takes no more rows
    map: bytes | None = None  # (d, d of the older) float64, row by row; None: the same space


class Order:
    """A stream that somebody asks for.

    Raises:
        ConfigError: another unit, not a digest of a space, or days without a clock of days.
    """

    def __init__(
        self,
        space: str,
        unit: str,
        parameters: "StreamParameters",
        clock: "Clock | None",
        carry: Carry | None = None,
        again: tuple[Again, ...] = (),
    ) -> None:
        from ondevice.privacy.cadence import DAY

        if unit not in entries.UNITS:
            raise ConfigError(f"a unit of privacy is {' or '.join(entries.UNITS)}, not {unit!r}")
        if not entries.SPACE.fullmatch(space):
            raise ConfigError(f"{space!r} is not the digest of a space")
        if unit == "day" and (clock is None or clock.period != DAY):
            raise ConfigError("a stream of days steps once a day")
        self.space, self.unit, self.parameters = space, unit, parameters
        self.clock, self.carry, self.again = clock, carry, again

    def fits(self, stream: Stream) -> bool:
        """Whether `stream` is what is asked for."""
        periods = [clock.period if clock else 0 for clock in (self.clock, stream.clock)]
        same = (stream.unit, stream.parameters) == (self.unit, self.parameters)
        return same and periods[0] == periods[1]
