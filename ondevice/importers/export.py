"""A folder of `ondevice-rec export` → behaviours, exactly as they were.

What else is in it, verdicts and wishes, `rows` gives to service/restore.py. The manifest names
the SHA-256 of each file: a folder that was changed or cut is refused before anything is taken.
"""

import hashlib
import json
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from ondevice.domain import Behaviour, Kind, Verdict
from ondevice.errors import ConfigError, FormatError
from ondevice.formats import canonical
from ondevice.formats.fields import Fields
from ondevice.importers import Dropped

FORMAT = "ondevice-export/1"
PARTS = ("behaviours", "feedback", "wishes")
MAX_TEXT = 1 << 16  # characters
_MANIFEST = 1 << 16  # bytes
_LINE = 1 << 20
_BEHAVIOUR = ("id", "at", "kind", "text", "item", "catalogue", "source")
_FEEDBACK = ("id", "at", "verdict", "catalogue", "item", "seconds", "behaviour", "undoes")
_WISH = ("at", "wish", "field", "name", "behaviour", "ended")
_BIG = 1 << 62
_HINT = "name the folder that `ondevice-rec export` wrote, as it wrote it"


def read(
    source: Path | BinaryIO,
    *,
    now: datetime,  # noqa: ARG001  # every reader takes it
    name: str = "export",  # noqa: ARG001  # every reader takes it
) -> Iterator[Behaviour | Dropped]:
    """Yield every behaviour of the folder `source`, in the order in which it was recorded.

    Args:
        source: the folder; a stream is none.
        now: not needed: every behaviour names its time.
        name: not needed: every behaviour names its source.

    Raises:
        ConfigError: not such a folder, or it was changed.
    """
    if not isinstance(source, Path):
        raise ConfigError("an export is a folder", hint=_HINT)
    check(source)
    for row in rows(source, "behaviours"):
        yield behaviour_of(row)


def check(folder: Path) -> dict[str, int]:
    """Hold every file against the manifest; return how many rows each part has.

    Raises:
        ConfigError: a file is missing, or was changed.
    """
    try:
        with (folder / "export.json").open("rb") as file:
            blob = file.read(_MANIFEST + 1)
        table = canonical.load(blob, what="export.json", limit=_MANIFEST)
        fields = Fields(table, what="export.json", required=("format", "counts", "sha256"))
        fields.constant("format", FORMAT)
        told = fields.mapping("sha256", high=16)
        counts = fields.mapping("counts", high=16)
        numbers = Fields(counts, what="export.json: counts", required=PARTS)
        for part in PARTS:
            if told.get(f"{part}.jsonl") != _digest(folder / f"{part}.jsonl"):
                raise ConfigError(f"{part}.jsonl is not as it was exported", hint=_HINT)
        return {part: numbers.integer(part, low=0, high=_BIG) for part in PARTS}
    except (OSError, FormatError) as error:
        raise ConfigError(f"{folder} can't be used: {error}", hint=_HINT) from error


def rows(folder: Path, part: str) -> Iterator[dict[str, Any]]:
    """Yield the rows of one part, checked.

    Raises:
        ConfigError: a line is not what an export holds.
    """
    checks = {"behaviours": _check_behaviour, "feedback": _check_feedback, "wishes": _check_wish}
    with (folder / f"{part}.jsonl").open("rb") as file:
        for number, line in enumerate(iter(lambda: file.readline(_LINE), b""), 1):
            try:
                row = json.loads(line)
                checks[part](row)
            except (ValueError, RecursionError, FormatError) as error:
                where = f"line {number} of {part}.jsonl"
                raise ConfigError(f"{where} is not of an export: {error}", hint=_HINT) from error
            yield row


def behaviour_of(row: dict[str, Any]) -> Behaviour:
    """Return the behaviour of a checked row; its id is that of the home it came from."""
    return Behaviour(
        id=row["id"],
        text=row["text"],
        kind=Kind(row["kind"]),
        at=datetime.fromisoformat(row["at"]),
        item=row["item"],
        catalogue=row["catalogue"],
        source=row["source"],
    )


def _check_behaviour(row: object) -> None:
    fields = Fields(row, what="behaviour", required=_BEHAVIOUR)
    fields.integer("id", low=1, high=_BIG)
    fields.text("text", high=MAX_TEXT, lines=True)
    fields.text("source", high=512)
    for name in ("item", "catalogue"):
        if fields.raw(name) is not None:
            fields.text(name, high=512)
    Kind(fields.text("kind", high=32))
    _check_time(fields.text("at", high=64))


def _check_feedback(row: object) -> None:
    fields = Fields(row, what="verdict", required=_FEEDBACK)
    fields.integer("id", low=1, high=_BIG)
    verdict = fields.text("verdict", high=32)
    if verdict != "undo":
        Verdict(verdict)
    fields.text("catalogue", high=512)
    fields.text("item", high=512)
    _check_time(fields.text("at", high=64))
    if fields.raw("seconds") is not None:
        fields.number("seconds", low=0, high=1e12)
    for name in ("behaviour", "undoes"):
        if fields.raw(name) is not None:
            fields.integer(name, low=1, high=_BIG)


def _check_wish(row: object) -> None:
    fields = Fields(row, what="wish", required=_WISH)
    if fields.text("wish", high=16) not in {"pick", "mute"}:
        raise FormatError("wish: neither pick nor mute")
    fields.text("field", low=0, high=64)
    fields.text("name", high=MAX_TEXT)
    _check_time(fields.text("at", high=64))
    if fields.raw("ended") is not None:
        _check_time(fields.text("ended", high=64))
    if fields.raw("behaviour") is not None:
        fields.integer("behaviour", low=1, high=_BIG)


def _check_time(text: str) -> None:
    if datetime.fromisoformat(text).tzinfo is None:
        raise FormatError("a time has no zone")


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
