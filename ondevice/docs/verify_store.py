"""Check a store of ondevice-rec without any code of ondevice-rec: SQLCipher reads it.

    python -m venv check && check/bin/pip install sqlcipher3-binary
    ondevice-rec device key --show          # the key; it changes with each forget
    check/bin/python verify_store.py ~/.local/share/ondevice-rec/store.db [WORD ...]

The key is asked for, or read from standard input. Each WORD is looked for in everything that the
database can show: none, after a forget. Exit code 0: all checks passed.
"""

import getpass
import shutil
import sys
import tempfile
from pathlib import Path

from sqlcipher3 import dbapi2 as sqlcipher


def main() -> int:
    """Run every check and print one line for each."""
    if len(sys.argv) < 2:
        sys.exit(str(__doc__))
    path, words = Path(sys.argv[1]), sys.argv[2:]
    ask = getpass.getpass if sys.stdin.isatty() else lambda _: sys.stdin.readline()
    key = bytes.fromhex(ask("Key of the store (64 hex digits): ").strip())
    problems = 0

    def tell(name: str, good: bool, seen: object) -> None:  # noqa: FBT001
        nonlocal problems
        problems += not good
        print(f"{'ok  ' if good else 'FAIL'} {name}: {seen}")  # noqa: T201

    with tempfile.TemporaryDirectory() as folder:  # a copy: the store itself is left alone
        copy = Path(folder, "store.db")
        for end in ("", "-wal"):
            if path.with_name(path.name + end).exists():
                shutil.copyfile(path.with_name(path.name + end), f"{copy}{end}")
        start = copy.read_bytes()[:16]
        tell("begins with a random salt", start != b"SQLite format 3\0", start.hex())
        tell("another key opens nothing", not opens(copy, bytes(32)), "tried zeros")
        if not opens(copy, key):
            tell("the key opens it", opens(copy, key), "no: wrong key, or the file is damaged")
            return 1
        db = connect(copy, key)
        damaged = db.execute("pragma cipher_integrity_check").fetchall()
        tell("every page is authentic", not damaged, f"{len(damaged)} pages are not")
        told = db.execute("pragma integrity_check").fetchall()
        tell("the tables are whole", told == [("ok",)], told[0][0])
        names = [n for (n,) in db.execute("select name from sqlite_schema where type = 'table'")]
        for name in names:
            rows = db.execute(f'select * from "{name}"').fetchall()  # noqa: S608
            text = "\n".join(str(v) for row in rows for v in row if isinstance(v, str))
            held = [word for word in words if word.lower() in text.lower()]
            tell(f"{name}: {len(rows)} rows", not held, f"holds {held}" if held else "clean")
        db.close()
    return 1 if problems else 0


def connect(path: Path, key: bytes) -> sqlcipher.Connection:
    """Open `path` under the raw `key`, with the defaults of SQLCipher 4."""
    db = sqlcipher.connect(str(path))
    db.execute("pragma cipher_log_level = NONE")
    db.execute(f"pragma key = \"x'{key.hex()}'\"")
    return db


def opens(path: Path, key: bytes) -> bool:
    """Whether `key` opens `path`."""
    try:
        connect(path, key).execute("select count(*) from sqlite_schema").fetchone()
    except sqlcipher.DatabaseError:
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
