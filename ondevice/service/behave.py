"""Record what a person did: mask, find its vector, charge, release its row, all or nothing."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from ondevice import clock, importers
from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError, NotReadyError
from ondevice.service.session import Session
from ondevice.service.streams import ensure_stream, step_due

if TYPE_CHECKING:
    from ondevice.formats.space import Space
    from ondevice.formats.tensors import F32
    from ondevice.store import Entry, Recorded, Stream

BATCH = 500  # behaviours in one transaction of an import
NOTES = 5  # reasons that are told one by one


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What became of the lines that were read."""

    read: int
    kept: int
    dropped: int
    duplicates: int
    notes: tuple[str, ...] = field(default=())
    dry_run: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)

    def sentence(self) -> str:
        """One line for people."""
        verb = "would be recorded" if self.dry_run else "recorded"
        parts = [f"{self.kept} {verb}"]
        if self.duplicates:
            parts.append(f"{self.duplicates} known already")
        if self.dropped:
            parts.append(f"{self.dropped} dropped")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """The newest behaviours, and how many there are in all."""

    total: int
    behaviours: tuple[Behaviour, ...]


def log_one(
    session: Session,
    text: str,
    *,
    kind: Kind,
    item: str | None = None,
    catalogue: str | None = None,
    at: str | None = None,
) -> Counts:
    """Record one behaviour.

    Raises:
        ConfigError: an empty, binary or huge text; a time that is none, or in the future.
        NotReadyError: no such item or catalogue here.
        BudgetExhaustedError: the cap does not allow another stream.
    """
    behaviour = Behaviour(
        text=text, kind=kind, at=_time(at), item=item, catalogue=catalogue, source="log"
    )
    if item is not None:
        behaviour = replace(behaviour, catalogue=catalogue_of(session, item, catalogue))
    return record(session, [behaviour])


def record(session: Session, behaviours: Iterable[Behaviour], *, dry_run: bool = False) -> Counts:
    """Clean, mask and record `behaviours` in order, in one transaction."""
    cleaned = [_masked(behaviour) for behaviour in behaviours]
    if dry_run:
        return Counts(read=len(cleaned), kept=len(cleaned), dropped=0, duplicates=0, dry_run=True)
    done = _write(session, cleaned)
    duplicates = sum(one.duplicate for one in done)
    return Counts(read=len(done), kept=len(done) - duplicates, dropped=0, duplicates=duplicates)


def log_lines(session: Session, stream: BinaryIO, *, catalogue: str | None = None) -> Counts:
    """Record JSON lines as they come from a pipe.

    Raises:
        ConfigError: nothing there, or not text.
    """
    return _import(session, importers.reader("jsonl"), stream, catalogue, dry_run=False)


def import_file(
    session: Session, source: str, path: Path, *, catalogue: str | None, dry_run: bool
) -> Counts:
    """Record what the reader of `source` finds in `path`; with `dry_run` only count.

    Raises:
        ConfigError: no such source, or a file that it can't read.
    """
    if source == "export":
        from ondevice.service.restore import restore

        read, known, notes = restore(session, path, _write, dry_run=dry_run)
        return Counts(
            read=read,
            kept=read - known,
            dropped=0,
            duplicates=known,
            notes=tuple(notes),
            dry_run=dry_run,
        )
    return _import(session, importers.reader(source), path, catalogue, dry_run=dry_run)


def sources() -> dict[str, str]:
    """Name → description of everything that can be imported."""
    return {name: source.description for name, source in importers.SOURCES.items()}


def record_one(session: Session, behaviour: Behaviour) -> int:
    """Record one behaviour and return its id, also if it was known already."""
    return _write(session, [_masked(behaviour)])[0].id


def history(session: Session, limit: int) -> History:
    """The `limit` newest behaviours."""
    if not session.has_store:
        return History(total=0, behaviours=())
    behaviours = session.store.behaviours
    return History(total=behaviours.count(), behaviours=tuple(behaviours.recent(limit)))


def catalogue_of(session: Session, item: str, catalogue: str | None) -> str:
    """The id of the catalogue that has `item`: the one named, else the first that does.

    Raises:
        NotReadyError: none has it.
    """
    names = [catalogue] if catalogue else [one.id for one in session.installed()]
    for name in names:
        if session.catalogue(name).records.has(item):
            return name
    where = f"catalogue '{catalogue}'" if catalogue else "any catalogue on this device"
    raise NotReadyError(
        f"there is no item '{item}' in {where}",
        hint='find its id: ondevice-rec search "some words" --json',
    )


def _write(session: Session, behaviours: list[Behaviour]) -> "list[Recorded]":
    from ondevice.store import row_maker

    step_due(session)
    return session.store.record_many(_entries(session, behaviours), row_maker())


def _import(
    session: Session,
    read: importers.Reader,
    source: Path | BinaryIO,
    catalogue: str | None,
    *,
    dry_run: bool,
) -> Counts:
    if catalogue is not None:
        session.catalogue(catalogue)  # a wrong name is said before anything is read
    lines = kept = duplicates = loose = 0
    reasons: Counter[str] = Counter()
    batch: list[Behaviour] = []

    def flush() -> None:
        nonlocal kept, duplicates
        if batch and not dry_run:
            done = _write(session, batch)
            duplicates += sum(one.duplicate for one in done)
        kept += len(batch)
        batch.clear()

    for found in read(source, now=clock.now()):
        lines += 1
        if isinstance(found, importers.Dropped):
            reasons[found.reason] += 1
            continue
        placed = _placed(session, found, catalogue)
        loose += placed.item is None and found.item is not None
        batch.append(placed)
        if len(batch) == BATCH:
            flush()
    flush()
    notes = [f"dropped {count}: {reason}" for reason, count in reasons.most_common(NOTES)]
    if loose:
        notes.append(f"{loose} named an item that is in no catalogue here: kept as text")
    return Counts(
        read=lines,
        kept=kept - duplicates,
        dropped=reasons.total(),
        duplicates=duplicates,
        notes=tuple(notes),
        dry_run=dry_run,
    )


def _placed(session: Session, behaviour: Behaviour, catalogue: str | None) -> Behaviour:
    """Find the catalogue of a behaviour's item; one that is nowhere here becomes plain text."""
    named = behaviour.catalogue or catalogue
    here = {one.id for one in session.installed()}
    if named not in here:
        named = None
    if behaviour.item is not None:
        try:
            return replace(behaviour, catalogue=catalogue_of(session, behaviour.item, named))
        except NotReadyError:
            return replace(behaviour, item=None, catalogue=named)
    return replace(behaviour, catalogue=named)


def _masked(behaviour: Behaviour) -> Behaviour:
    from ondevice.encoder.clean import clean
    from ondevice.encoder.mask import mask

    return replace(behaviour, text=mask(clean(behaviour.text)).text)


def _time(given: str | None) -> datetime:
    now = clock.now()
    if given is None:
        return now
    try:
        at = datetime.fromisoformat(given)
    except ValueError:
        raise ConfigError(
            f"'{given}' is not a time",
            hint="write it like 2026-01-31T18:30 (UTC unless it says so)",
        ) from None
    at = at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)
    if at > now:
        raise ConfigError(f"{given} lies in the future", hint="log what has happened already")
    return at


def _entries(session: Session, behaviours: list[Behaviour]) -> "list[Entry]":
    """Give each behaviour its vector, its step and its stream."""
    from ondevice.store import Entry

    now = clock.now()
    entries = []
    streams: dict[int, Stream] = {}  # by the identity of the loaded space
    for behaviour in behaviours:
        space = space_of(session, behaviour)
        if id(space) not in streams:
            streams[id(space)] = ensure_stream(session, space)
        stream = streams[id(space)]
        vector, x = vector_of(session, space, behaviour)
        entries.append(
            Entry(
                behaviour=behaviour,
                vector=vector,
                stream=stream,
                step=step_in(session, behaviour, x, alone=stream.clock is None),
                now=now,
            )
        )
    return entries


def _known_item(session: Session, behaviour: Behaviour) -> bool:
    if behaviour.item is None or behaviour.catalogue is None:
        return False
    return session.catalogue(behaviour.catalogue).records.has(behaviour.item)


def space_of(session: Session, behaviour: Behaviour) -> "Space":
    """A behaviour enters the stream of its own catalogue's space only; free text the base's."""
    if behaviour.catalogue is None:
        return session.base_space
    return session.catalogue(behaviour.catalogue).space


def vector_of(session: Session, space: "Space", behaviour: Behaviour) -> "tuple[F32 | None, F32]":
    """Return a behaviour's vectors: of the encoder, where it was encoded, and in `space` (d,)."""
    if _known_item(session, behaviour):
        catalogue = session.catalogue(behaviour.catalogue or "")
        return None, catalogue.unit([catalogue.records.row(behaviour.item or "")])[0]
    encoded, projected = session.embed(space, [behaviour.text])
    return encoded[0], projected[0]


def step_in(session: Session, behaviour: Behaviour, x: "F32", *, alone: bool) -> tuple[int, ...]:
    """Return the step of a behaviour whose vector in its space is `x`; see `steps.step_of`."""
    from ondevice.profile.steps import step_of

    return step_of(x, session.config.weights[behaviour.kind], alone=alone)
