"""JSON lines → behaviours: what `log -` and `import jsonl PATH` read.

One JSON object a line: `text` is required; `kind` ("view" where it is missing), `item`,
`catalogue` and `at` are optional. `at` is ISO 8601 (without an offset: UTC) or seconds since 1970;
a missing one means now. Plain or gzipped, told apart by content.
"""

import json
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from ondevice.domain import Behaviour, Kind
from ondevice.encoder.clean import clean
from ondevice.encoder.mask import mask
from ondevice.errors import ConfigError
from ondevice.importers import Dropped

MAX_LINE = 64 << 10  # bytes; a longer line is dropped, whatever its length, in constant memory
MAX_ID = 512  # characters of an item's or a catalogue's id
MAX_RATIO = 250  # unpacked over packed bytes; honest text packs 5 to 30 times
FREE = 16 << 20  # bytes that any gzip file may unpack to
SKEW = timedelta(minutes=5)  # how far another clock may run ahead of ours
_CHUNK = 64 << 10
_FIELDS = frozenset({"text", "kind", "item", "at", "catalogue"})
_FORM = 'one JSON object a line: {"text": "…", "kind": "view", "at": "2026-01-31T18:00:00Z"}'


def read(
    source: Path | BinaryIO, *, now: datetime, name: str = "jsonl"
) -> Iterator[Behaviour | Dropped]:
    """Yield a behaviour or the reason why there is none for each line that is not blank.

    Args:
        source: a file, or a binary stream such as standard input; read once, to its end.
        now: the time for lines without one; later times are dropped.
        name: what the behaviours give as their source.

    Raises:
        ConfigError: missing, unreadable, empty, binary, or a damaged or explosive gzip file.
    """
    count = 0
    with ExitStack() as stack:
        stream = stack.enter_context(_open(source)) if isinstance(source, Path) else source
        for number, line in _lines(_unpacked(_chunks(stream))):
            if isinstance(line, bytes) and not line.strip():
                continue
            count += 1
            yield _parse(number, line, now, name)
    if count == 0:
        raise ConfigError("there is nothing to read: no line has anything in it", hint=_FORM)


def _open(path: Path) -> BinaryIO:
    try:
        return path.open("rb")
    except IsADirectoryError as error:
        raise ConfigError(f"{path} is a folder", hint="name the file in it") from error
    except FileNotFoundError as error:
        raise ConfigError(f"there is no file {path}", hint="check the name") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"cannot read {path}: {error}", hint="check its permissions") from error


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    read_some = getattr(stream, "read1", stream.read)  # a pipe's lines count as they come
    while True:
        try:
            chunk = read_some(_CHUNK)
        except OSError as error:
            raise ConfigError(f"reading stopped: {error}", hint="check the file") from error
        if not chunk:
            return
        yield chunk


def _unpacked(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack gzip by content; refuse what is neither gzip nor text."""
    head, rest = _peek(chunks)
    if head[:2] == b"\x1f\x8b":
        head, rest = _peek(_gunzip(rest))
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or b"\0" in head[:4096]:
        raise ConfigError("this is not a text file in UTF-8", hint=_FORM)
    yield next(rest, b"").removeprefix(b"\xef\xbb\xbf")
    yield from rest


def _peek(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """Return the first bytes, at least 4 if there are, and all chunks with them in front."""
    head = b""
    for chunk in chunks:
        head += chunk
        if len(head) >= 4:  # a pipe may deliver single bytes
            break
    return head, chain((head,), chunks)


def _gunzip(chunks: Iterator[bytes]) -> Iterator[bytes]:
    """Yield the unpacked bytes of all members, at most `_CHUNK` at a time."""
    packed = unpacked = 0
    member = zlib.decompressobj(wbits=31)
    for chunk in chunks:
        packed += len(chunk)
        left = chunk
        while left:
            if member.eof:
                member = zlib.decompressobj(wbits=31)
            try:
                block = member.decompress(left, _CHUNK)
            except zlib.error as error:
                raise ConfigError(
                    f"the gzip file is damaged: {error}", hint="download or export it again"
                ) from error
            left = member.unused_data if member.eof else member.unconsumed_tail
            unpacked += len(block)
            if unpacked > FREE + MAX_RATIO * packed:
                raise ConfigError(
                    f"the gzip file unpacks to more than {MAX_RATIO} times its size",
                    hint="unpack it yourself if you trust it, and import the result",
                )
            if block:
                yield block
    if not member.eof:
        raise ConfigError("the gzip file ends early", hint="download or export it again")


def _lines(chunks: Iterator[bytes]) -> Iterator[tuple[int, bytes | None]]:
    """Yield (number from 1, line); a line over `MAX_LINE` comes as None and is never held."""
    number, buffer, too_long = 1, bytearray(), False
    for chunk in chunks:
        *ended, last = chunk.split(b"\n")
        for piece in ended:
            whole = len(buffer) + len(piece) <= MAX_LINE and not too_long
            yield number, bytes(buffer + piece) if whole else None
            number, too_long = number + 1, False
            buffer.clear()
        too_long = too_long or len(buffer) + len(last) > MAX_LINE
        if too_long:
            buffer.clear()
        else:
            buffer += last
    if buffer or too_long:
        yield number, None if too_long else bytes(buffer)


def _parse(number: int, line: bytes | None, now: datetime, name: str) -> Behaviour | Dropped:
    try:
        if line is None:
            raise ConfigError(f"longer than {MAX_LINE:,} bytes")
        row = _object(line)
        text = row.get("text")
        if not isinstance(text, str):
            raise ConfigError("'text' is missing or no text")
        return Behaviour(
            text=mask(clean(text)).text,
            kind=_kind(row.get("kind")),
            at=_time(row.get("at"), now),
            item=_identifier(row, "item"),
            catalogue=_identifier(row, "catalogue"),
            source=name,
        )
    except ConfigError as error:
        return Dropped(line=number, reason=str(error))


def _object(line: bytes) -> dict[str, object]:
    try:
        row = json.loads(line.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise ConfigError("not UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise ConfigError("not valid JSON") from error
    if not isinstance(row, dict):
        raise ConfigError("not a JSON object")
    unknown = sorted(row.keys() - _FIELDS)
    if unknown:
        raise ConfigError(f"unknown field {unknown[0][:40]!a}; known: {', '.join(sorted(_FIELDS))}")
    return row


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    row = dict(pairs)
    if len(row) != len(pairs):
        raise ConfigError("a field is given twice")
    return row


def _refuse(constant: str) -> object:
    raise ConfigError(f"{constant} is not JSON")


def _kind(value: object) -> Kind:
    if value is None:
        return Kind.VIEW
    if not isinstance(value, str) or value not in set(Kind):
        raise ConfigError(f"unknown 'kind'; kinds: {', '.join(Kind)}")
    return Kind(value)


def _identifier(row: dict[str, object], field: str) -> str | None:
    value = row.get(field)
    if value is None:
        return None
    if not isinstance(value, str) or not 0 < len(value) <= MAX_ID or not value.isprintable():
        raise ConfigError(f"'{field}' must be text of 1 to {MAX_ID} printable characters")
    return value


def _time(value: object, now: datetime) -> datetime:
    if value is None:
        return now
    try:
        if isinstance(value, str):
            given = datetime.fromisoformat(value)
            given = given.replace(tzinfo=UTC) if given.tzinfo is None else given.astimezone(UTC)
        elif isinstance(value, int | float) and not isinstance(value, bool):
            given = datetime.fromtimestamp(value, UTC)
        else:
            raise ConfigError("'at' must be an ISO 8601 time or seconds since 1970")
    except (ValueError, OverflowError, OSError) as error:
        raise ConfigError("'at' is no ISO 8601 time and no number of seconds since 1970") from error
    if given > now + SKEW:
        raise ConfigError("'at' lies in the future")
    if given.year < 1970:
        raise ConfigError("'at' lies before 1970")
    return given.replace(microsecond=0)
