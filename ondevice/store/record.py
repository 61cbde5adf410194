"""Recording: a behaviour, its step and the released row commit together, or none does.

The row is drawn inside the transaction, by a function of the caller's: what it returns must not
be looked at before `record` has returned. A draw that was not committed was never a release.
"""

import math
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from ondevice.domain import Behaviour
from ondevice.errors import ConfigError, FormatError, IntegrityError
from ondevice.store import packing
from ondevice.store.connection import Connection, Value
from ondevice.store.entries import Stream

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

DIMENSION_MAX = 4096
TEXT_MAX = 1 << 16

Step = tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One behaviour to record, and how it enters a stream. Without a stream it is only kept."""

    behaviour: Behaviour
    vector: "NDArray[np.float32] | None" = None  # (384,): the text's, for exact views
    stream: Stream | None = None
    step: Step = ()  # x_t in grid units, clipped; (dimension of the stream,)


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What one step lets out, and what decoding remembers of the stream up to there."""

    y: tuple[int, ...]  # (dimension,) integers
    state: bytes  # privacy.decoder.StreamState.to_bytes


class RowMaker(Protocol):
    """Draws a row. Called inside the transaction, once for each behaviour that is not known yet."""

    def __call__(self, stream: Stream, inputs: Sequence[Step], state: bytes | None) -> Row:
        """Return row t.

        Args:
            stream: which one.
            inputs: x_t, x_(t-1), ...: newest first, at most `stream.parameters.band`, zeros for
                forgotten ones; what `privacy.stream.row` takes.
            state: of the row before, None before the first.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What became of an `Entry`."""

    id: int  # of the behaviour
    t: int | None  # its row; None when it entered no stream now
    duplicate: bool  # it was known already: nothing was written, nothing released


class _Band:
    """The end of one stream while a batch is written."""

    def __init__(self, connection: Connection, stream: Stream) -> None:
        self.stream = stream
        band, dimension = stream.parameters.band, stream.parameters.dimension
        cached = connection.row("select t, state from decoders where stream = ?", stream.id)
        self.t: int = cached[0] if cached else 0
        self.state: bytes | None = cached[1] if cached else None
        found = connection.rows(
            "select x from steps where stream = ? and t > ? order by t desc",
            *(stream.id, self.t - (band - 1)),
        )
        if len(found) != min(self.t, band - 1):
            raise IntegrityError(f"stream {stream.id} lacks steps", hint="run: ondevice-rec doctor")
        steps = [packing.unpack_step(x) if x is not None else (0,) * dimension for (x,) in found]
        self.inputs: deque[Step] = deque(steps, maxlen=band)


def record(
    connection: Connection, batch: Iterable[Entry], make_row: RowMaker | None
) -> list[Recorded]:
    """Write `batch` in one transaction; all of it is durable when this returns.

    Raises:
        ConfigError: a time without a zone, an empty or huge text, a stream without `make_row`.
        FormatError: a step, vector or row that its stream can't hold.
    """
    bands: dict[int, _Band] = {}
    done: list[Recorded] = []
    with connection.transaction():
        for entry in batch:
            done.append(_record_one(connection, entry, make_row, bands))  # noqa: PERF401  # writes
        for band in bands.values():
            connection.run(
                "insert into decoders (stream, t, state) values (?, ?, ?) on conflict (stream) "
                "do update set t = excluded.t, state = excluded.state",
                *(band.stream.id, band.t, band.state),
            )
    return done


def _record_one(
    connection: Connection,
    entry: Entry,
    make_row: RowMaker | None,
    bands: dict[int, _Band],
) -> Recorded:
    identity = packing.identity(entry.behaviour)
    known = connection.row("select id from behaviours where identity = ?", identity)
    if known is not None:
        return Recorded(id=known[0], t=None, duplicate=True)
    behaviour_id = _insert(connection, entry, identity)
    if entry.stream is None:
        return Recorded(id=behaviour_id, t=None, duplicate=False)
    if make_row is None:
        raise ConfigError("a behaviour can't enter a stream without a function that draws its row")
    if entry.stream.unit != "behaviour":
        raise ConfigError(
            "a stream of days takes one row a day, not one for each behaviour",
            hint='set unit = "behaviour" in config.toml',
        )
    _check_step(entry.step, entry.stream)
    band = bands.get(entry.stream.id)
    if band is None:
        band = bands[entry.stream.id] = _Band(connection, entry.stream)
    band.inputs.appendleft(entry.step)
    row = make_row(entry.stream, tuple(band.inputs), band.state)
    if len(row.y) != entry.stream.parameters.dimension:
        raise FormatError(f"a released row has {len(row.y)} coordinates, its stream another number")
    band.t, band.state = band.t + 1, row.state
    where: tuple[Value, ...] = (entry.stream.id, band.t)
    connection.run(
        "insert into released (stream, t, y) values (?, ?, ?)", *where, packing.pack_row(row.y)
    )
    connection.run(
        "insert into steps (stream, t, x, behaviour) values (?, ?, ?, ?)",
        *(*where, packing.pack_step(entry.step), behaviour_id),
    )
    return Recorded(id=behaviour_id, t=band.t, duplicate=False)


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
    if sum(int(x) * int(x) for x in step) > parameters.clip**2:
        raise FormatError("a step lies outside the ball that its stream was charged for")
