"""From one space to the next: public item vectors that are kept, and the map fitted on them."""

from typing import TYPE_CHECKING

from ondevice.errors import OnDeviceError
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.formats.catalogue import Catalogue
    from ondevice.formats.space import Space
    from ondevice.privacy.decoder import F64
    from ondevice.store import Carry, Stream

KEPT = 400  # items of a catalogue whose vectors are kept; spread over it, never by behaviour


def spaces(session: Session) -> "list[Space]":
    """Every space in use on this device: the shipped one, and those of the catalogues.

    Raises:
        OnDeviceError: a catalogue can't be read, so its space is not known.
    """
    return [session.base_space, *(found.space for found in _catalogues(session))]


def keep_anchors(session: Session, space: "Space") -> None:
    """Keep vectors of public items in `space`, so that a later space can be tied to it."""
    anchors = session.store.anchors
    if anchors.has(space.digest):
        return
    try:
        found = _catalogues(session)
    except OnDeviceError:  # recording goes on; whoever uses that catalogue is told
        return
    for catalogue in found:
        if catalogue.space.digest == space.digest and len(catalogue):
            rows = _spread(len(catalogue))
            anchors.add(
                space.digest,
                catalogue.manifest.catalogue,
                [catalogue.records.ids[row] for row in rows],
                catalogue.unit(rows),
            )


def carry_into(session: Session, space: "Space") -> "Carry | None":
    """The release that goes on in a new stream of `space`; None where there is none."""
    from ondevice.store import Carry

    current = session.store.ledger.current(space.digest)
    if current is not None:
        return Carry(after=current.id)
    found = predecessor(session, space)
    if found is None:
        return None
    return Carry(after=found[0].id, map=found[1].astype("<f8").tobytes())


def predecessor(session: Session, space: "Space") -> "tuple[Stream, F64] | None":
    """The stream that `space` takes over from, and the map into it.

    It is one whose space nothing on this device uses any more, and of these the one with most
    items that both spaces know. Catalogues decide this alone: behaviours have no part in it.
    """
    import numpy as np

    from ondevice.profile.carry import fit

    store = session.store
    streams = [one for one in store.ledger.open_streams() if one.space != space.digest]
    if not streams:
        return None
    try:
        used = {one.digest for one in spaces(session)}
        here = _vectors(session, space)
    except OnDeviceError:  # whether a space is used can't be told: nothing is taken over
        return None
    best: tuple[int, Stream, F64] | None = None
    for stream in streams:
        if stream.space in used:
            continue
        there = store.anchors.vectors(stream.space)
        shared = sorted(here.keys() & there.keys())
        if not shared or (best is not None and len(shared) <= best[0]):
            continue
        mapping = fit(
            np.stack([there[each] for each in shared]), np.stack([here[each] for each in shared])
        )
        if mapping is not None:
            best = (len(shared), stream, mapping)
    return None if best is None else best[1:]


def matrix(stream: "Stream", blob: bytes | None) -> "F64 | None":
    """Return the map into the space of `stream` as an array; None for the same space."""
    import numpy as np

    if blob is None:
        return None
    return np.frombuffer(blob, "<f8").reshape(stream.parameters.dimension, -1)


def _vectors(session: Session, space: "Space") -> "dict[tuple[str, str], F64]":
    """Vectors in `space` of the items that older spaces may know."""
    known = {
        (catalogue, item)
        for stream in session.store.ledger.open_streams()
        if stream.space != space.digest
        for catalogue, item in session.store.anchors.vectors(stream.space)
    }
    found: dict[tuple[str, str], F64] = {}
    for catalogue in _catalogues(session):
        if catalogue.space.digest != space.digest:
            continue
        name = catalogue.manifest.catalogue
        items = [item for where, item in known if where == name and catalogue.records.has(item)]
        rows = [catalogue.records.row(item) for item in items]
        if rows:
            vectors = catalogue.unit(rows).astype("float64")
            found |= {(name, item): vectors[i] for i, item in enumerate(items)}
    return found


def _catalogues(session: Session) -> "list[Catalogue]":
    return [session.catalogue(one.id) for one in session.installed()]


def _spread(count: int) -> list[int]:
    """Return up to `KEPT` rows, evenly spread."""
    return list(range(0, count, max(1, -(-count // KEPT))))
