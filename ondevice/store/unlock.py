"""Where the secrets outside a home come from: an anchor of this machine, and a passphrase.

Anchor: a systemd credential ($CREDENTIALS_DIRECTORY/ondevice-rec.anchor), else a real keyring of
the operating system (the optional package `keyring`), else absent. It is chosen when a home is
made and never rotates. Passphrase: a systemd credential, a file, the environment, or whoever
registered with `ask_with`. Never an argument: those are for every user of a machine to read.

Everything is read once in a process, and kept: call `prepare` before the process locks itself,
since a keyring is asked over a socket.
"""

import hashlib
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ondevice.errors import ConfigError, OnDeviceError
from ondevice.store.seal import KEY, Kdf

if TYPE_CHECKING:
    from ondevice.paths import Home
    from ondevice.privacy.randomness import Randomness

SERVICE = "ondevice-rec"  # the name in a keyring, and of credentials
FILE, VARIABLE = "ONDEVICE_PASSPHRASE_FILE", "ONDEVICE_PASSPHRASE"
TRIES = 3  # how often a person may mistype
SHORTEST = 8  # characters of a passphrase
_LARGEST = 1 << 16  # bytes of a file with a secret
_HOW = f"give it in a file that only you can read: {FILE}=FILE, or run this on a terminal"

# A backend that only fails, or writes a file in the clear, is no keyring.
_REAL = tuple(
    f"keyring.backends.{name}" for name in ("SecretService", "kwallet", "libsecret", "macOS")
)

Ask = Callable[["Home"], str]

_stretched: dict[Kdf, bytes] = {}
_anchors: dict[str, bytes | None] = {}
_files: dict[Path, str] = {}


def ask_with(ask: Ask) -> None:
    """Let `ask` ask the person for the passphrase of a home; by default the terminal does."""
    _asker[:] = [ask]


def prepare(home: "Home") -> None:
    """Read everything that opening `home` needs from outside it, once.

    Raises:
        ConfigError: there is no passphrase, or an unsuitable one.
        IntegrityError: the keybox can't be opened.
    """
    from ondevice.store import keybox

    if home.keybox.exists():
        keybox.read(home)


def anchors() -> Iterator[tuple[str, bytes]]:
    """Yield (where from, 32 bytes) of every anchor that this machine has, the best first."""
    for name, look in (("systemd credential", _credential), ("operating system keyring", _ring)):
        if name not in _anchors:
            _anchors[name] = look()
        found = _anchors[name]
        if found is not None:
            yield name, found


def anchor_for_new_home(randomness: "Randomness") -> bytes | None:
    """Return the anchor that a new home is bound to; None where this machine has none.

    A keyring that has no anchor yet gets one.
    """
    for _, found in anchors():
        return found
    ring = _keyring()
    if ring is None:
        return None
    made = randomness.bytes(KEY)
    try:
        ring.set_password(SERVICE, "anchor", made.hex())
        if ring.get_password(SERVICE, "anchor") != made.hex():
            return None
    except Exception:  # a locked or broken keyring is none; each raises its own
        return None
    _anchors["operating system keyring"] = made
    return made


def stretched(home: "Home", kdf: Kdf) -> Iterator[bytes]:
    """Yield what the passphrase of `home` becomes under `kdf`; again, if the first was wrong.

    Raises:
        ConfigError: nobody can give one.
    """
    if kdf in _stretched:
        yield _stretched[kdf]
    given = _given()
    if given is not None:
        yield _kept(kdf, given)
        return
    for _ in range(TRIES):
        yield _kept(kdf, _asker[0](home))


def keep(kdf: Kdf, passphrase: str) -> bytes:
    """Stretch `passphrase` and remember it in this process."""
    return _kept(kdf, passphrase)


def forget(kdf: Kdf) -> None:
    """Don't remember a passphrase that was wrong, or is no longer used."""
    _stretched.pop(kdf, None)


def read_secret(path: Path) -> str:
    """Read a passphrase from the first line of `path`.

    Raises:
        ConfigError: others may read it, or it holds none.
    """
    try:
        mode = path.stat().st_mode
        if stat.S_ISREG(mode) and stat.S_IMODE(mode) & 0o077:
            raise ConfigError(f"others may read {path}", hint=f"run: chmod 600 {path}")
        with path.open("rb") as file:
            blob = file.read(_LARGEST)
    except OSError as error:
        if path in _files:  # out of reach since this process locked itself
            return _files[path]
        raise ConfigError(
            f"cannot read the passphrase from {path}: {error.strerror}", hint="check the path"
        ) from error
    _files[path] = first_line(blob, str(path))
    return _files[path]


def first_line(blob: bytes, what: str) -> str:
    """Return the first line of `blob` as text.

    Raises:
        ConfigError: it is empty, or not text.
    """
    try:
        text = blob.decode("utf-8").split("\n", 1)[0].rstrip("\r")
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise ConfigError(f"{what} holds no passphrase", hint="write it on the first line")
    return text


def check_new(passphrase: str) -> str:
    """Return `passphrase` if it may protect a home.

    Raises:
        ConfigError: it is too short.
    """
    if len(passphrase) < SHORTEST:
        raise ConfigError(
            f"a passphrase has at least {SHORTEST} characters",
            hint="four or five words that nobody would guess are a good one",
        )
    return passphrase


def _terminal(home: "Home") -> str:
    if not (sys.stdin is not None and sys.stdin.isatty()):
        raise ConfigError(f"a passphrase protects {home.root}", hint=_HOW)
    import getpass

    return getpass.getpass(f"Passphrase of {home.root}: ")


_asker: list[Ask] = [_terminal]


def _kept(kdf: Kdf, passphrase: str) -> bytes:
    _stretched[kdf] = kdf.stretch(passphrase)
    return _stretched[kdf]


def _given() -> str | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if folder and (credential := Path(folder) / f"{SERVICE}.passphrase").exists():
        return read_secret(credential)
    if os.environ.get(FILE):
        return read_secret(Path(os.environ[FILE]).expanduser())
    return os.environ.get(VARIABLE) or None


def _credential() -> bytes | None:
    folder = os.environ.get("CREDENTIALS_DIRECTORY")
    if not folder:
        return None
    path = Path(folder) / f"{SERVICE}.anchor"
    try:
        with path.open("rb") as file:
            blob = file.read(_LARGEST)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise OnDeviceError(
            f"cannot read the credential {path}: {error.strerror}",
            hint="check LoadCredential= in the unit",
        ) from error
    if len(blob) < KEY // 2:
        raise ConfigError(
            f"the credential {path} is too short to be a secret",
            hint="make it of 32 random bytes",
        )
    return hashlib.sha256(b"ondevice anchor 1" + blob).digest()


def _ring() -> bytes | None:
    ring = _keyring()
    if ring is None:
        return None
    with suppress(Exception):  # a locked or broken keyring is none; each raises its own
        found = ring.get_password(SERVICE, "anchor")
        if found is not None and len(raw := bytes.fromhex(found)) == KEY:
            return raw
    return None


def _keyring() -> "_Ring | None":
    """The operating system's keyring, if the package is there and finds a real one."""
    if "keyring" not in sys.modules:
        from importlib.util import find_spec

        if find_spec("keyring") is None:
            return None
    with suppress(Exception):  # what a desktop lacks is reported in many ways
        keyring = import_module("keyring")

        backend = keyring.get_keyring()
        parts = (backend, *getattr(backend, "backends", ()))
        if any(type(one).__module__.startswith(_REAL) for one in parts):
            return cast("_Ring", backend)
    return None


class _Ring:
    """What we ask of a keyring."""

    def get_password(self, service: str, name: str) -> str | None: ...
    def set_password(self, service: str, name: str, secret: str) -> None: ...
