"""Lock this process before it opens anything private: what stays allowed, and its broker."""

import atexit
import sys
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from ondevice.errors import ConfigError, OnDeviceError
from ondevice.paths import Home
from ondevice.sandbox import lock
from ondevice.sandbox.broker import Broker, Fetcher, start

TOO_EARLY = ("numpy", "onnxruntime")  # start threads: whoever loads them before is too late

_broker: Broker | None = None


def enter(
    homes: Sequence[Path],
    *,
    read: Sequence[Path] = (),
    write: Sequence[Path] = (),
    fill: Sequence[Path] = (),
    make: bool = True,
    keep: Sequence[int] = (),
    broker: bool = False,
    scratch: bool = False,
) -> lock.Level:
    """Close network, programs and other files for this process, for good.

    Args:
        homes: the homes that may be opened; a missing one is made, and removed at the end when
            it is still empty.
        read: what the person named to be read.
        write: files that the person named to be written; made if need be.
        fill: folders that the person named to be filled; made if need be.
        make: whether to make missing homes.
        keep: open descriptors that are still needed.
        broker: fork the process that fetches, opens addresses and passes files (`the_broker`).
        scratch: whether a folder for temporary files is needed; removed at the end.

    Raises:
        OnDeviceError: the kernel refused; nothing private was opened.
    """
    global _broker  # noqa: PLW0603  # one process, one broker
    loaded = [name for name in TOO_EARLY if name in sys.modules]
    if loaded:
        raise OnDeviceError(f"too late to lock this process: {loaded[0]} is loaded")
    places = [_made(home) for home in homes if make or home.exists()]
    if broker and places:
        staging = Home(places[0]).catalogues / ".staging"
        for folder in (staging.parent, staging):
            _made(folder)
        _broker = start(places[0], staging, _fetcher)
        _use(_broker)
    _read_secrets(places)  # after the fork: the broker has seen none of them
    own = [_scratch()] if scratch else []
    filled = [_made(folder) for folder in fill]
    outputs = [_output(path) for path in write]
    parents = [path.parent for path in (*places, *own, *filled)]
    return lock.apply(
        lock.Plan(
            change=(*places, *own, *filled, *outputs),
            read=tuple(path.absolute() for path in read),
            empty=tuple(parents),
            keep={*keep, *([_broker.handle] if _broker else [])},
        )
    )


def the_broker() -> Broker | None:
    """Return the broker of this process, if it has one."""
    return _broker


def _use(broker: Broker) -> None:
    from ondevice.updates import door

    door.use(broker)
    atexit.register(broker.close)


def _fetcher() -> Fetcher:
    """Load the network door; called in the broker alone."""
    from ondevice.updates import fetch

    return fetch


def _read_secrets(homes: Sequence[Path]) -> None:
    """Read what opens a home but lies outside it (a credential, a keyring, a passphrase).

    What is wrong with a home is for whoever opens it to say.
    """
    from ondevice.privacy.randomness import SystemRandomness
    from ondevice.store import keybox, unlock

    for home in map(Home, homes):
        with suppress(OnDeviceError):
            if not home.keybox.exists():
                unlock.anchor_for_new_home(SystemRandomness())
                continue
            header = keybox.header(home)
            if header.anchor or header.kdf is not None:
                unlock.prepare(home)


def _made(home: Path) -> Path:
    """Return `home`, made if need be: a path that is not there can't be left open.

    At the end it is removed again if nobody put anything into it.
    """
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileExistsError):
            home.mkdir(mode=0o700)
            atexit.register(_remove_if_empty, home)
    except OSError as error:
        raise ConfigError(
            f"cannot create {home}: {error.strerror}",
            hint="choose another folder: --home DIR, or ONDEVICE_HOME",
        ) from error
    return home.absolute()


def _output(path: Path) -> Path:
    """Make the file `path`, so that it can be left open for writing."""
    try:
        if not path.is_dir():
            path.touch(mode=0o600)
    except OSError as error:
        raise ConfigError(
            f"cannot write {path}: {error.strerror}", hint="name a file in a folder that exists"
        ) from error
    return path.absolute()


def _scratch() -> Path:
    """Make the folder in which this process has its temporary files, and nobody else."""
    folder = Path(tempfile.mkdtemp(prefix="ondevice-rec-"))
    tempfile.tempdir = str(folder)
    atexit.register(_remove_if_empty, folder)
    return folder


def _remove_if_empty(folder: Path) -> None:
    with suppress(OSError):
        folder.rmdir()
