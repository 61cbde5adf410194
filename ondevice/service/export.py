"""Write down everything that is kept, so that it can be read anywhere and imported again.

A folder with JSON lines (exact, `import export DIR` reads them), the same as CSV for spreadsheets,
and a README. With `shared` instead what others may see anyway: the shared lists and the guarantee.
"""

import csv
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any

from ondevice import clock
from ondevice.errors import ConfigError, NotReadyError, OnDeviceError
from ondevice.formats import canonical
from ondevice.service.history import as_dict
from ondevice.service.session import Session

FORMAT, SHARED_FORMAT = "ondevice-export/1", "ondevice-shared/1"
SHARED_ITEMS = 100  # of each catalogue's shared list
MANIFEST = "export.json"
COLUMNS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "behaviours": ("id", "at", "kind", "text", "item", "catalogue", "source"),
        "feedback": ("id", "at", "verdict", "catalogue", "item", "seconds", "behaviour", "undoes"),
        "wishes": ("at", "wish", "field", "name", "behaviour", "ended"),
    }
)
_RISKY = ("=", "+", "-", "@", "\t", "\r")  # what makes a spreadsheet compute a cell
_README = """\
# What ondevice-rec keeps about you

Written {at} from {home}. Nothing of this is encrypted: whoever has this folder can read it.

| file | what |
|---|---|
| behaviours.jsonl, .csv | what you did: {behaviours} |
| feedback.jsonl, .csv | what you said of single items: {feedback} |
| wishes.jsonl, .csv | interests picked and things muted: {wishes} |
| export.json | the counts and the SHA-256 of each .jsonl file |

The .jsonl files are exact, one JSON object a line, UTF-8, times in UTC. To take them back:

    ondevice-rec import export {folder}

The .csv files are for spreadsheets: a cell that a spreadsheet would compute begins with '. Not in
here: vectors and the private profile, which are made anew from the behaviours, and catalogues.
Words that were forgotten by `keep_text_days` can't be exported.
"""
_SHARED_README = """\
# What ondevice-rec would show to others

Written {at}. Lists of the shared view, made from the noisy release and the catalogues alone:
{guarantee}

| file | what |
|---|---|
| shared.json | the lists and the guarantee |
| shared.csv | the lists, for spreadsheets |
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Written:
    """What an export wrote."""

    folder: str
    files: tuple[str, ...]
    counts: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The JSON form."""
        return {**asdict(self), "files": list(self.files), "counts": dict(self.counts)}

    def sentence(self, *, shared: bool = False) -> str:
        """One line for people."""
        counts = ", ".join(f"{count} {name}" for name, count in self.counts.items())
        warning = "what others may see anyway" if shared else "in the clear, so keep it safe"
        return f"{self.folder}: {counts}; {warning}"


def export(session: Session, folder: Path) -> Written:
    """Write everything that is kept into `folder`, which must be new or empty.

    Raises:
        ConfigError: it is not empty, or can't be made.
        NotReadyError: nothing is recorded.
        OnDeviceError: the disk doesn't take it.
    """
    if not session.has_store:
        raise NotReadyError(
            "nothing is recorded here", hint='record something first: ondevice-rec log "…"'
        )
    _prepare(folder)
    history = session.store.history
    parts: dict[str, Iterable[dict[str, Any]]] = {
        "behaviours": (as_dict(one) for one in history.each()),
        "feedback": history.verdicts(),
        "wishes": history.wishes(),
    }
    counts: dict[str, int] = {}
    digests: dict[str, str] = {}
    for name, rows in parts.items():
        counts[name], digests[f"{name}.jsonl"] = _write(folder, name, rows)
    manifest = {"format": FORMAT, "counts": counts, "sha256": digests}
    _put(folder / MANIFEST, canonical.dump(manifest).decode("utf-8"))
    at = f"{clock.now():%Y-%m-%d %H:%M} UTC"
    _put(
        folder / "README.md",
        _README.format(at=at, home=session.home.root, folder=folder, **counts),
    )
    return _written(folder, counts)


def export_shared(session: Session, folder: Path) -> Written:
    """Write what the shared view shows of every catalogue into `folder`.

    Raises:
        ConfigError: it is not empty, or can't be made.
        OnDeviceError: the disk doesn't take it.
    """
    from ondevice.service.private import privacy_of
    from ondevice.service.recommend import recommend

    _prepare(folder)
    privacy = asdict(privacy_of(session))
    lists: dict[str, list[dict[str, Any]]] = {}
    for one in session.installed():
        shown = recommend(session, catalogue=one.id, limit=SHARED_ITEMS, view="shared")
        lists[one.id] = [
            {"rank": i.rank, "id": i.item.id, "title": i.item.title, "score": i.score}
            for i in shown.items
        ]
    document = {"format": SHARED_FORMAT, "privacy": privacy, "lists": lists}
    _put(folder / "shared.json", json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    with _new(folder / "shared.csv") as file:
        sheet = csv.writer(file)
        sheet.writerow(("catalogue", "rank", "id", "title", "score"))
        for name, items in lists.items():
            sheet.writerows([safe(name), *map(safe, item.values())] for item in items)
    guarantee = ", ".join(f"{key} {value}" for key, value in privacy.items())
    at = f"{clock.now():%Y-%m-%d %H:%M} UTC"
    _put(folder / "README.md", _SHARED_README.format(at=at, guarantee=guarantee))
    return _written(folder, {f"items of {name}": len(items) for name, items in lists.items()})


def safe(value: object) -> object:
    """Return a cell that no spreadsheet computes: texts that look like a formula get a '."""
    return f"'{value}" if isinstance(value, str) and value.startswith(_RISKY) else value


def _write(folder: Path, name: str, rows: Iterable[dict[str, Any]]) -> tuple[int, str]:
    """Write `rows` as JSON lines and as CSV; return how many, and the digest of the lines."""
    count, digest = 0, hashlib.sha256()
    with _new(folder / f"{name}.jsonl") as lines, _new(folder / f"{name}.csv") as sheet:
        table = csv.writer(sheet)
        table.writerow(COLUMNS[name])
        for row in rows:
            line = json.dumps(row, ensure_ascii=False) + "\n"
            digest.update(line.encode("utf-8"))
            lines.write(line)
            table.writerow([safe(row[column]) for column in COLUMNS[name]])
            count += 1
    return count, digest.hexdigest()


def _prepare(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise ConfigError(f"{folder} is not empty", hint="name a new folder")
    except OSError as error:
        raise ConfigError(
            f"cannot write into {folder}: {error.strerror}", hint="name a new folder"
        ) from error


def _put(path: Path, text: str) -> None:
    with _new(path) as file:
        file.write(text)


@contextmanager
def _new(path: Path) -> Iterator[IO[str]]:
    """Open a new file for the owner alone; what was written is on the disk at the end."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise OnDeviceError(
            f"cannot write {path}: {error.strerror}", hint="make room on the disk, then try again"
        ) from error


def _written(folder: Path, counts: Mapping[str, int]) -> Written:
    return Written(
        folder=str(folder),
        files=tuple(sorted(path.name for path in folder.iterdir())),
        counts=counts,
    )
