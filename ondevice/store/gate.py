"""The gate before the database: everybody passes it for each operation, and forgetting closes it.

Whoever reads or writes holds a shared lock on `store.lock`, and looks at the keybox's header
first. Whoever changes the store's key announces it in the keybox and then waits for the lock
alone; others see the announcement, step back and wait, so a change never waits for ever. After it
they find a keybox of another generation, and open the new file under the new key.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from ondevice.errors import OnDeviceError
from ondevice.store import files, keybox

if TYPE_CHECKING:
    from ondevice.paths import Home
    from ondevice.privacy.randomness import Randomness


class Gate:
    """One connection's way through the gate of one home."""

    def __init__(self, home: "Home", randomness: "Randomness") -> None:
        self._home = home
        self._randomness = randomness
        self._handle = _lock_file(home)
        self._seen = b""
        self._generation = -1

    def enter(self) -> bytes | None:
        """Hold the store's key as it is until `leave`; return it if it is another than before.

        Raises:
            OnDeviceError: another process changes it and doesn't come to an end.
            IntegrityError: the keybox can't be opened.
        """
        if self._handle < 0:
            raise OnDeviceError("the store is closed", hint="open it again")
        while True:
            fcntl.flock(self._handle, fcntl.LOCK_SH)
            try:
                now = keybox.signature(self._home)
                if now == self._seen:
                    return None
                box = keybox.read(self._home)
                if box.next is None:
                    self._seen = now
                    changed = box.generation != self._generation
                    self._generation = box.generation
                    return box.store_key if changed else None
            except BaseException:
                self.leave()
                raise
            self.leave()
            self._wait()

    def leave(self) -> None:
        """Let others change the key."""
        fcntl.flock(self._handle, fcntl.LOCK_UN)

    def close(self) -> None:
        """Give the handle back; twice is fine."""
        if self._handle >= 0:
            os.close(self._handle)
            self._handle = -1

    def _wait(self) -> None:
        """Wait for whoever changes the key; if it was killed, finish or undo what it began."""
        from ondevice.store import generation

        with files.locked(self._home):
            generation.recover(self._home, self._randomness)


@contextmanager
def closed(home: "Home") -> Iterator[None]:
    """Keep everybody out of the database. The caller holds the home, and has announced why.

    Raises:
        OnDeviceError: somebody's operation goes on for half a minute.
    """
    handle = _lock_file(home)
    try:
        files.wait_for(handle, fcntl.LOCK_EX, "another process is writing to the store")
        yield
    finally:
        os.close(handle)


def _lock_file(home: "Home") -> int:
    path = home.root / "store.lock"
    try:
        return os.open(path, os.O_RDONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise OnDeviceError(
            f"cannot open {path}: {error.strerror}", hint="check that the folder is writable"
        ) from error
