"""One encrypted SQLite connection (SECURITY 3). No error of the library leaves this module.

The file follows SQLCipher 4 with a raw key: a random salt in bytes 0-15, and an HMAC on every page.
"""

import os
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import apsw

from ondevice.errors import ConfigError, IntegrityError, OnDeviceError

PLAIN = b"SQLite format 3\0"
SMALLEST = 512  # bytes; SQLite takes a file that is almost empty for a new one
BUSY_MS = 30_000  # how long to wait for another process's transaction

Value = None | int | float | str | bytes

_DAMAGED = (apsw.NotADBError, apsw.CorruptError, apsw.FormatError)
_BACKUP = "put store.db, keybox and device.key back from one backup"


class Connection:
    """Runs SQL and returns whole answers. Safe to share between threads: one at a time."""

    def __init__(self, path: Path, key: bytes) -> None:
        """Open `path` under `key` (32 bytes); an empty or missing file becomes a new database.

        Raises:
            IntegrityError: not encrypted, damaged, or sealed under another key.
            OnDeviceError: the file can't be opened.
        """
        self._lock = threading.RLock()
        self._depth = 0
        self._owner = 0  # the thread whose transaction is open
        _refuse_plain(path)
        if not path.exists():
            with suppress(FileExistsError):
                os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        with _translated():
            self._handle = apsw.Connection(str(path))
        try:
            with _translated():
                for pragma in (
                    "cipher='sqlcipher'",
                    "legacy=4",
                    f"key=\"x'{key.hex()}'\"",
                    "temp_store=memory",
                    f"busy_timeout={BUSY_MS}",
                    "foreign_keys=on",
                    "secure_delete=on",
                ):
                    self._handle.execute(f"pragma {pragma}").fetchall()
                self._handle.execute("select count(*) from sqlite_schema").fetchall()
                self._handle.execute("pragma journal_mode=wal").fetchall()
                self._handle.execute("pragma synchronous=full").fetchall()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Close; twice is fine. The last one to close folds the log into the file."""
        with self._lock, _translated():
            self._handle.close()

    def rows(self, sql: str, *values: Value) -> list[tuple[Any, ...]]:
        """Run `sql` and return every row; STRICT tables say what type each value has."""
        with self._lock, _translated():
            return self._handle.execute(sql, values).fetchall()

    def row(self, sql: str, *values: Value) -> tuple[Any, ...] | None:
        """Run `sql` and return its first row, or None."""
        found = self.rows(sql, *values)
        return found[0] if found else None

    def run(self, sql: str, *values: Value) -> None:
        """Run `sql` for what it does."""
        self.rows(sql, *values)

    def run_many(self, sql: str, values: Iterable[tuple[Value, ...]]) -> None:
        """Run `sql` once for each of `values`."""
        with self._lock, _translated():
            self._handle.executemany(sql, values)

    def insert(self, sql: str, *values: Value) -> int:
        """Run an INSERT and return the id of its row."""
        with self._lock:
            self.rows(sql, *values)
            return self._handle.last_insert_rowid()

    @property
    def in_transaction(self) -> bool:
        """Whether this thread has a `transaction` open."""
        return self._depth > 0 and self._owner == threading.get_ident()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Commit everything inside, or nothing. Holds the only right to write from its start.

        An inner one commits with the outer one, and is undone alone when only it fails.
        """
        with self._lock:
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


def _refuse_plain(path: Path) -> None:
    try:
        with path.open("rb") as file:
            start = file.read(len(PLAIN))
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
