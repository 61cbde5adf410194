"""One encrypted SQLite connection (SECURITY 3). No error of the library leaves this module.

The file follows SQLCipher 4 with a raw key: a random salt in bytes 0-15, and an HMAC on every page.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import apsw

from ondevice.errors import ConfigError, IntegrityError, OnDeviceError

PLAIN = b"SQLite format 3\0"
SMALLEST = 512  # bytes; SQLite takes a file that is almost empty for a new one
BUSY_MS = 30_000  # how long to wait for another process's transaction

if TYPE_CHECKING:
    from ondevice.store.gate import Gate

LOG_MAX = 4 << 20  # bytes that an idle log keeps

Value = None | int | float | str | bytes

_FLAGS = apsw.SQLITE_OPEN_READWRITE | apsw.SQLITE_OPEN_CREATE | apsw.SQLITE_OPEN_URI
_DAMAGED = (apsw.NotADBError, apsw.CorruptError, apsw.FormatError)
_BACKUP = "put store.db, keybox and device.key back from one backup"


class Connection:
    """Runs SQL and returns whole answers. Safe to share between threads: one at a time."""

    def __init__(
        self, path: Path, key: bytes, *, gate: "Gate | None" = None, private: bool = False
    ) -> None:
        """Open `path` under `key` (32 bytes); an empty or missing file becomes a new database.

        Args:
            path: of the database.
            key: its key; with a gate, the one that the gate knows counts.
            gate: passed for every operation; None where nobody else has the file, or the caller
                holds the gate closed.
            private: nobody else has the file: no log, a journal that is deleted.

        Raises:
            IntegrityError: not encrypted, damaged, or sealed under another key.
            OnDeviceError: the file can't be opened.
        """
        self._lock = threading.RLock()
        self._depth = 0
        self._owner = 0  # the thread whose transaction is open
        self._inside = 0  # operations, one within the other
        self._path, self._gate, self._private = path, gate, private
        self._handle: apsw.Connection | None = None
        self._identity: _Identity | None = None
        if gate is None:
            self._open(key)
        else:
            with self._passing():  # opens
                pass

    def close(self) -> None:
        """Close; twice is fine. The last one to close folds the log into the file."""
        with self._lock:
            if self._handle is None:
                return
            if self._gate is None:
                self._drop()
                return
            try:
                with suppress(OnDeviceError), self._passing():
                    self._drop()
            finally:
                self._drop(stale=True)
                self._gate.close()

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run `sql` and return every row; STRICT tables say what type each value has."""
        with self._passing() as handle, _translated():
            return handle.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> tuple[Any, ...] | None:
        """Run `sql` and return its first row, or None."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def run(self, sql: str, *values: Value) -> None:
        """Run `sql` for what it does."""
        self.rows(sql, *values)

    def run_many(self, sql: str, values: Iterable[tuple[Value, ...]]) -> None:
        """Run `sql` once for each of `values`."""
        with self._passing() as handle, _translated():
            handle.executemany(sql, values)

    def insert(self, sql: str, *values: Value) -> int:
        """Run an INSERT and return the id of its row."""
        with self._passing() as handle:
            self.rows(sql, *values)
            return handle.last_insert_rowid()

    def fold(self) -> None:
        """Fold the whole log into the file, and empty it.

        Raises:
            OnDeviceError: somebody still reads from it.
        """
        if self.rows("pragma wal_checkpoint(truncate)")[0][0]:
            raise OnDeviceError(
                "another program reads the store", hint="wait until it has ended, then try again"
            )

    def copy_to(self, path: Path, key: bytes) -> None:
        """Write everything to the new file `path` under `key`, without a page that is not used.

        Raises:
            OnDeviceError: the disk doesn't take it; the file may be there by half.
        """
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        where = f"{path.absolute().as_uri()}?cipher=sqlcipher&legacy=4&key=x%27{key.hex()}%27"
        self.run("vacuum into ?", where)

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a `transaction` open."""
        return self._depth > 0 and self._owner == threading.get_ident()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing. Holds the only right to write from its start.

        An inner one commits with the outer one, and is undone alone when only it fails.
        """
        with self._passing():
            level = f"level{self._depth}"
            begin, end, undo = "begin immediate", "commit", ["rollback"]
            if self._depth:
                end = f"release {level}"
                begin, undo = f"savepoint {level}", [f"rollback to {level}", end]
            self.run(begin)
            self._depth += 1
            self._owner = threading.get_ident()
            try:
                yield
                self.run(end)
            except BaseException:
                with suppress(OnDeviceError):  # the first error is the one to tell
                    for step in undo:
                        self.run(step)
                raise
            finally:
                self._depth -= 1

    @contextmanager
    def _passing(self) -> Iterator[apsw.Connection]:
        """Hold the connection and, at the outermost level, pass the gate; reopen where needed."""
        with self._lock:
            gate = self._gate if self._inside == 0 else None
            key = gate.enter() if gate is not None else None
            self._inside += 1
            try:
                if key is not None:
                    self._drop(stale=True)
                    self._open(key)
                if self._handle is None:
                    raise OnDeviceError("the store is closed", hint="open it again")
                yield self._handle
            finally:
                self._inside -= 1
                if gate is not None:
                    gate.leave()

    def _open(self, key: bytes) -> None:
        _refuse_plain(self._path)
        if not self._path.exists():
            with suppress(FileExistsError):
                os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        self._identity = _enrol(self._path)
        try:
            with _translated():
                handle = apsw.Connection(str(self._path.absolute()), flags=_FLAGS)
            self._handle = handle
            with _translated():
                for pragma in (
                    "cipher='sqlcipher'",
                    "legacy=4",
                    f"key=\"x'{key.hex()}'\"",
                    "temp_store=memory",
                    f"busy_timeout={BUSY_MS}",
                    "foreign_keys=on",
                    "secure_delete=on",
                    f"journal_size_limit={LOG_MAX}",
                ):
                    handle.execute(f"pragma {pragma}").fetchall()
                handle.execute("select count(*) from sqlite_schema").fetchall()
                mode = "delete" if self._private else "wal"
                handle.execute(f"pragma journal_mode={mode}").fetchall()
                handle.execute("pragma synchronous=full").fetchall()
        except BaseException:
            self._drop(stale=True)
            raise

    def _drop(self, *, stale: bool = False) -> None:
        """Close the handle; a stale one leaves the log alone, which may belong to a new file."""
        handle, self._handle = self._handle, None
        if handle is not None:
            with _translated():
                if stale:
                    handle.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                handle.close()
        if self._identity is not None:
            _leave(self._identity)
            self._identity = None


# A process that closes any descriptor of a file loses all its POSIX locks on it, also those of
# SQLite. So while a database is open here, whoever looks at its bytes uses one descriptor, which
# is closed after the last connection.
_Identity = tuple[int, int]
_GUARD = threading.Lock()
_OPEN: dict[_Identity, int] = {}
_PARKED: dict[_Identity, list[int]] = {}


def _enrol(path: Path) -> _Identity:
    with _GUARD:
        about = path.stat()
        identity = (about.st_dev, about.st_ino)
        _OPEN[identity] = _OPEN.get(identity, 0) + 1
        return identity


def _leave(identity: _Identity) -> None:
    with _GUARD:
        _OPEN[identity] -= 1
        if not _OPEN[identity]:
            del _OPEN[identity]
            for handle in _PARKED.pop(identity, ()):
                os.close(handle)


@contextmanager
def looking_at(path: Path) -> Iterator[int]:
    """Hold a descriptor to read `path` with `os.pread`, without harm to an open database.

    Raises:
        OSError: it can't be read.
    """
    with _GUARD:
        about = path.stat()
        identity = (about.st_dev, about.st_ino)
        parked = _PARKED.get(identity)
        handle = parked[0] if parked else os.open(path, os.O_RDONLY)
    try:
        yield handle
    finally:
        with _GUARD:
            if identity not in _OPEN:
                os.close(handle)
            elif handle not in _PARKED.setdefault(identity, []):
                _PARKED[identity].append(handle)


def _refuse_plain(path: Path) -> None:
    try:
        with looking_at(path) as handle:
            start = os.pread(handle, len(PLAIN), 0)
    except FileNotFoundError:
        return
    except OSError as error:
        raise IntegrityError(f"cannot read {path}: {error.strerror}", hint=_BACKUP) from error
    if start == PLAIN:
        raise IntegrityError(f"{path} is not encrypted, so it is not ours", hint=_BACKUP)


def assert_encrypted(path: Path) -> None:
    """Refuse to go on when `path` was written in the clear, or not at all.

    Raises:
        IntegrityError: the first bytes are not a random salt.
    """
    _refuse_plain(path)
    if path.stat().st_size < SMALLEST:
        raise IntegrityError(f"{path} was not written", hint=_BACKUP)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _DAMAGED as error:
        raise IntegrityError(
            f"the store is damaged, or sealed under another key ({error})", hint=_BACKUP
        ) from error
    except apsw.ConstraintError as error:
        raise IntegrityError(
            f"the store refused what would break its rules: {error}",
            hint="nothing was changed; run: ondevice-rec doctor",
        ) from error
    except UnicodeEncodeError as error:
        raise ConfigError(
            "a text holds half a character (a lone surrogate)", hint="remove it from the input"
        ) from error
    except (apsw.BusyError, apsw.LockedError) as error:
        raise OnDeviceError(
            "another process is writing to the store",
            hint="wait until it has ended, then try again",
        ) from error
    except apsw.FullError as error:
        raise OnDeviceError("the disk is full", hint="make room, then try again") from error
    except (apsw.IOError, apsw.CantOpenError, apsw.ReadOnlyError, apsw.PermissionsError) as error:
        raise OnDeviceError(
            f"the store cannot be read or written: {error}",
            hint="check that the folder is writable and its disk is healthy",
        ) from error
    except apsw.Error as error:
        raise OnDeviceError(
            f"the store failed: {error}", hint="run: ondevice-rec doctor"
        ) from error
