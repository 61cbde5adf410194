"""Recording: a behaviour, its step and the released row commit together, or none does.

The row is drawn inside the transaction, by a function of the caller's: what it returns must not
be looked at before `record` has returned. A draw that was not committed was never a release.

Where rows come at public times, a behaviour waits for the row of the interval in which it was
recorded, and `tick` (ticks.py) draws that row when its interval has ended.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from ondevice.domain import Behaviour
from ondevice.errors import ConfigError, FormatError
from ondevice.store import packing
from ondevice.store.band import Band, RowMaker, Step, require_open
from ondevice.store.connection import Connection
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSION_MAX = 4096
TEXT_MAX = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One behaviour to record, and how it enters a stream. Without a stream it is only kept."""

    behaviour: Behaviour
    vector: "NDArray[np.float32] | None" = None  # (384,): the text's, for exact views
    stream: Stream | None = None
    step: Step = ()  # x_t in grid units, clipped; (dimension of the stream,)
    now: datetime | None = None  # when it is recorded: what a stream with a clock goes by


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of an `Entry`."""

    id: int  # of the behaviour
    t: int | None  # its row; None when it entered no stream, or waits for its row
    duplicate: bool  # it was known already: nothing was written, nothing released


def record(
    connection: Connection, batch: Iterable[Entry], make_row: RowMaker | None
) -> list[Recorded]:
    """Write `batch` in one transaction; all of it is durable when this returns.

    Raises:
        ConfigError: a time without a zone, an empty or huge text, a stream without `make_row`.
        FormatError: a step, vector or row that its stream can't hold.
    """
    bands: dict[int, Band] = {}
    done: list[Recorded] = []
    with connection.transaction():
        for entry in batch:
            done.append(_record_one(connection, entry, make_row, bands))  # noqa: PERF401  # writes
        for band in bands.values():
            band.save()
    return done


def _record_one(
    connection: Connection,
    entry: Entry,
    make_row: RowMaker | None,
    bands: dict[int, Band],
) -> Recorded:
    identity = packing.identity(entry.behaviour)
    known = connection.row("select id from behaviours where identity = ?", identity)
    if known is not None:
        return Recorded(id=known[0], t=None, duplicate=True)
    behaviour_id = _insert(connection, entry, identity)
    if entry.stream is None:
        return Recorded(id=behaviour_id, t=None, duplicate=False)
    _check_step(entry.step, entry.stream)
    if entry.stream.clock is not None:
        _let_wait(connection, entry, entry.stream, behaviour_id)
        return Recorded(id=behaviour_id, t=None, duplicate=False)
    if make_row is None:
        raise ConfigError("a behaviour can't enter a stream without a function that draws its row")
    band = bands.get(entry.stream.id)
    if band is None:
        band = bands[entry.stream.id] = Band(connection, entry.stream)
        band.release_waiting(make_row)  # they came first
    band.release([(behaviour_id, entry.step)], make_row)
    return Recorded(id=behaviour_id, t=band.t, duplicate=False)


def _let_wait(connection: Connection, entry: Entry, stream: Stream, behaviour_id: int) -> None:
    if entry.now is None or stream.clock is None:
        raise ConfigError("a stream that steps on a clock needs to know when a behaviour came")
    require_open(connection, stream)
    released = connection.row("select t from decoders where stream = ?", stream.id)
    t = stream.clock.interval(entry.now, released=released[0] if released else 0)
    connection.run(
        "insert into waiting (stream, t, behaviour, x) values (?, ?, ?, ?)",
        *(stream.id, t, behaviour_id, packing.pack_step(entry.step)),
    )


def _insert(connection: Connection, entry: Entry, identity: bytes) -> int:
    behaviour = entry.behaviour
    if not 1 <= len(behaviour.text) <= TEXT_MAX:
        raise ConfigError(f"a behaviour's text has 1 to {TEXT_MAX} characters")
    if not behaviour.source:
        raise ConfigError("a behaviour names its source")
    return connection.insert(
        "insert into behaviours (identity, text, kind, at, item, catalogue, source, vector) "
        "values (?, ?, ?, ?, ?, ?, ?, ?)",
        identity,
        behaviour.text,
        str(behaviour.kind),
        packing.ticks(behaviour.at),
        behaviour.item,
        behaviour.catalogue,
        behaviour.source,
        _vector_bytes(entry.vector),
    )


def _vector_bytes(vector: "NDArray[np.float32] | None") -> bytes | None:
    if vector is None:
        return None
    if vector.ndim != 1 or not 1 <= vector.size <= DIMENSION_MAX:
        raise FormatError(f"a behaviour's vector can't have shape {vector.shape}")
    if not math.isfinite(float(vector.sum())):
        raise FormatError("a behaviour's vector holds a number that is not finite")
    return vector.astype("<f4").tobytes()


def _check_step(step: Step, stream: Stream) -> None:
    parameters = stream.parameters
    if len(step) != parameters.dimension:
        raise FormatError(f"a step has {len(step)} coordinates, its stream {parameters.dimension}")
    radius = parameters.clip
    if stream.clock is not None:
        from ondevice.privacy.clipping import inner_radius

        radius = inner_radius(parameters.dimension)
    if sum(int(x) * int(x) for x in step) > radius**2:
        raise FormatError("a step lies outside the ball that its stream was charged for")
