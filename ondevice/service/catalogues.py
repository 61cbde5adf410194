"""Catalogues on this device: list, join a publisher, update, remove, verify."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ondevice import clock
from ondevice.errors import ConfigError, FormatError, NotReadyError
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.updates.install import Installed


ROOT_LIMIT = 512 << 10  # bytes of a root.json


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One catalogue as a person sees it in a list."""

    id: str
    title: str
    scenario: str
    version: int
    items: int
    origin: str  # "sample", or where it is fetched from
    expires: str | None  # ISO 8601 time after which it is stale; None: never
    state: str  # "ready", or "stale since …"

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return asdict(self)


def listed(session: Session) -> list[Entry]:
    """Every catalogue here, the person's own first."""
    return [_entry(one) for one in session.installed()]


def add(session: Session, where: Path) -> list[Entry]:
    """Join the publisher of the invite file `where` and install its catalogues.

    Raises:
        ConfigError: there is no such file.
        NotReadyError: the publisher can't be reached.
        IntegrityError: what it offers must not be used; nothing was installed.
    """
    from ondevice.updates import install

    if where.parts[:1] in {("https:",), ("http:",)}:
        raise ConfigError(
            "a publisher is joined by its invite file, not by its address",
            hint="give its .invite file; or add --root root.json where it enrolled this device",
        )
    if not where.exists():
        raise ConfigError(
            f"there is no file {where}",
            hint="ask the publisher for an .invite file, and give its path",
        )
    if where.is_dir():
        raise ConfigError(f"{where} is a folder", hint="give the publisher's .invite file instead")
    try:
        added = install.add(session.home, where, keys=session.store.keys, now=clock.now())
    except FormatError as error:
        if error.hint:
            raise
        raise FormatError(
            f"{where} can't be used: {error}", hint="ask the publisher for the invite file again"
        ) from error
    return [_entry(one) for one in session.installed() if one.id in set(added)]


def join(session: Session, where: str, root: Path) -> list[Entry]:
    """Install what the publisher at `where` lets this enrolled device read.

    Args:
        session: whose device.
        where: https://…, file:///…, or the path of a folder.
        root: the publisher's root.json.

    Raises:
        ConfigError: no such folder or file.
        NotReadyError: offline, or this device is not enrolled there.
        IntegrityError: what it offers must not be used; nothing was installed.
    """
    from ondevice.updates import install

    if "://" not in where:
        folder = Path(where).expanduser()
        if not folder.is_dir():
            raise ConfigError(
                f"{where} is neither a folder nor an address", hint="give https://HOST/PATH"
            )
        where = folder.resolve().as_uri()
    try:
        with root.open("rb") as file:
            first = file.read(ROOT_LIMIT + 1)
    except OSError as error:
        raise ConfigError(
            f"cannot read {root}: {error.strerror}",
            hint="ask the publisher for its root.json, by a way that you trust",
        ) from error
    added = install.join(
        session.home, where.rstrip("/"), first, keys=session.store.keys, now=clock.now()
    )
    return [_entry(one) for one in session.installed() if one.id in set(added)]


def update(session: Session, ids: Sequence[str]) -> list[Entry]:
    """Fetch newer versions of `ids`, or of every catalogue of this person's own."""
    from ondevice.updates import install

    own = {one.id for one in install.installed(session.home)}
    unknown = [one for one in ids if one not in own]
    if unknown:
        raise NotReadyError(
            f"'{unknown[0]}' is not a catalogue that can be updated",
            hint=f"yours: {', '.join(sorted(own)) or 'none yet'}; the samples never change",
        )
    for one in ids or sorted(own):
        install.update(session.home, one, keys=session.store.keys, now=clock.now())
    return [_entry(one) for one in session.installed() if one.id in (set(ids) or own)]


def remove(session: Session, catalogue_id: str) -> None:
    """Remove one of the person's own catalogues; behaviours about it stay.

    Raises:
        ConfigError: it is a sample.
        NotReadyError: no such catalogue.
    """
    from ondevice.updates import install

    if any(one.id == catalogue_id and one.origin == "sample" for one in session.installed()):
        raise ConfigError(
            f"'{catalogue_id}' is a sample: it ships with the package and can't be removed",
            hint="name one of your own: ondevice-rec catalogue list",
        )

    install.remove(session.home, catalogue_id, keys=session.store.keys)


def verify(session: Session) -> list[Entry]:
    """Decrypt and check every shard of every catalogue.

    Raises:
        IntegrityError: the first one that fails.
    """
    checked = []
    for one in session.installed():
        session.catalogue(one.id)
        checked.append(_entry(one))
    return checked


def _entry(one: "Installed") -> Entry:
    stale = one.expires is not None and one.expires <= clock.now()
    return Entry(
        id=one.id,
        title=one.title,
        scenario=one.scenario.value,
        version=one.version,
        items=one.items,
        origin=one.origin,
        expires=one.expires.isoformat() if one.expires else None,
        state=f"stale since {one.expires:%Y-%m-%d}" if stale else "ready",
    )
