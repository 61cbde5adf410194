"""What protects a home on its disk: said in words, and a passphrase set or removed."""

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from ondevice.errors import ConfigError, NotReadyError
from ondevice.service.session import Session

if TYPE_CHECKING:
    from ondevice.paths import Home


@dataclass(frozen=True, slots=True, kw_only=True)
class Protection:
    """How a home is protected from a reader of its disk."""

    level: str  # none | key file | anchor | passphrase | passphrase and anchor
    anchor: str  # "" | systemd credential | operating system keyring | missing here
    passphrase: bool
    sentences: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "sentences": list(self.sentences)}


def protection(home: "Home") -> Protection:
    """Say what protects `home`. Reads the keybox's header alone, and never asks anybody.

    Raises:
        FormatError: the keybox is not one.
    """
    from ondevice.store import keybox, unlock

    if not home.keybox.exists():
        return Protection(
            level="none",
            anchor="",
            passphrase=False,
            sentences=("nothing is recorded yet, so there is nothing to protect.",),
        )
    header = keybox.header(home)
    where = next((name for name, _ in unlock.anchors()), "missing here") if header.anchor else ""
    passphrase = header.kdf is not None
    parts = [name for name, there in (("passphrase", passphrase), ("anchor", bool(where))) if there]
    said = []
    if passphrase:
        said.append(
            "a passphrase is mixed into the key: a copy of this folder, or the stolen disk, is as "
            "safe as the passphrase is hard to guess."
        )
    if where:
        said.append(
            f"a key from outside this folder ({where}) is mixed in: a copy of this folder alone "
            "opens nothing."
        )
    if not parts:
        said.append(
            "a key file beside the store protects a copied database, not a stolen disk: whoever "
            "has this whole folder can read it. A passphrase would change that: "
            "ondevice-rec passphrase set"
        )
    said.append(
        "not covered: whoever can read this user's files or memory while it runs, swap and "
        "hibernation; and overwriting is not erasure on flash memory."
    )
    return Protection(
        level=" and ".join(parts) or "key file",
        anchor=where,
        passphrase=passphrase,
        sentences=tuple(said),
    )


def set_passphrase(session: Session, passphrase: str) -> Protection:
    """Mix `passphrase` into the key, in place of one that was; the store gets a new key.

    Raises:
        ConfigError: it is too short.
    """
    from ondevice.privacy.randomness import SystemRandomness
    from ondevice.store import unlock
    from ondevice.store.seal import Kdf

    unlock.check_new(passphrase)
    kdf = Kdf(salt=SystemRandomness().bytes(16))
    stretched = unlock.keep(kdf, passphrase)
    _reseal(session, lambda under: replace(under, kdf=kdf, stretched=stretched))
    return protection(session.home)


def remove_passphrase(session: Session) -> Protection:
    """Take the passphrase out of the key; the store gets a new key.

    Raises:
        NotReadyError: there is none.
    """
    if not protection(session.home).passphrase:
        raise NotReadyError("no passphrase is set", hint="set one: ondevice-rec passphrase set")
    _reseal(session, lambda under: replace(under, kdf=None, stretched=None))
    return protection(session.home)


def store_key(session: Session, typed: str) -> str:
    """Return the key of the store in hexadecimal, for whoever checks the file independently.

    Raises:
        ConfigError: not what has to be typed for it.
        NotReadyError: there is no store.
    """
    from ondevice.store import keybox

    if typed.strip() != SHOW:
        raise ConfigError("not shown", hint=f"type: {SHOW}")
    if not session.has_store:
        raise NotReadyError(
            "there is no store yet", hint='record something first: ondevice-rec log "…"'
        )
    session.store.behaviours.count()  # opens it: what was interrupted is finished
    return keybox.read(session.home).store_key.hex()


SHOW = "show the key"


def _reseal(session: Session, change: "Any") -> None:
    from ondevice.store.generation import Change

    session.store.rewrite(lambda _: Change(result=None), reseal=change)
