"""JSON lines: what is kept, what is dropped and why, what is refused; and nothing else ever."""

import gzip
import io
import itertools
import json
import tracemalloc
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ondevice.domain import Behaviour, Kind
from ondevice.errors import ConfigError
from ondevice.importers import SOURCES, Dropped, jsonl, reader

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def read(blob: bytes) -> list[Behaviour | Dropped]:
    return list(jsonl.read(io.BytesIO(blob), now=NOW))


def one(**fields: object) -> Behaviour | Dropped:
    (row,) = read(json.dumps(fields).encode())
    return row


def reason(row: Behaviour | Dropped) -> str:
    assert isinstance(row, Dropped)
    return row.reason


class Pipe(io.RawIOBase):
    """A pipe that delivers what `next_piece` gives, whatever was asked for."""

    def __init__(self, next_piece: Callable[[], bytes]) -> None:
        self.read = lambda size=-1: next_piece()  # type: ignore[method-assign]


def pipe(next_piece: Callable[[], bytes]) -> BinaryIO:
    return cast(BinaryIO, Pipe(next_piece))


def test_every_registered_source_loads_and_is_described() -> None:
    assert "jsonl" in SOURCES
    for name, source in SOURCES.items():
        assert callable(reader(name))
        assert source.description
        assert "\n" not in source.description


def test_an_unknown_source_names_the_known_ones() -> None:
    with pytest.raises(ConfigError, match="unknown source") as caught:
        reader("myspace")
    assert "jsonl" in caught.value.hint


def test_a_full_line() -> None:
    row = one(
        text="Blade <b>Runner</b>, ask jane@example.org",
        kind="like",
        item="film:1",
        catalogue="films",
        at="2026-02-28T20:00:00+01:00",
    )

    assert row == Behaviour(
        text="Blade Runner , ask [e-mail]",
        kind=Kind.LIKE,
        at=datetime(2026, 2, 28, 19, 0, tzinfo=UTC),
        item="film:1",
        catalogue="films",
        source="jsonl",
    )


def test_what_is_missing_has_a_default() -> None:
    assert one(text="jazz") == Behaviour(text="jazz", kind=Kind.VIEW, at=NOW, source="jsonl")
    assert one(text="jazz", kind=None, item=None, at=None, catalogue=None) == one(text="jazz")


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        ("2026-02-28T20:00:00Z", "2026-02-28T20:00:00"),
        ("2026-02-28T20:00:00", "2026-02-28T20:00:00"),
        ("2026-02-28 20:00:00.75", "2026-02-28T20:00:00"),
        ("2026-02-28T20:00:00-05:30", "2026-03-01T01:30:00"),
        ("2026-02-28", "2026-02-28T00:00:00"),
        (1_700_000_000, "2023-11-14T22:13:20"),
        (1_700_000_000.9, "2023-11-14T22:13:20"),
        (0, "1970-01-01T00:00:00"),
        ("2026-03-01T12:04:00Z", "2026-03-01T12:04:00"),
    ],
)
def test_times_become_utc(at: object, expected: str) -> None:
    row = one(text="x", at=at)

    assert isinstance(row, Behaviour)
    assert row.at == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("at", "says"),
    [
        ("yesterday", "ISO 8601"),
        ("", "ISO 8601"),
        (True, "ISO 8601"),
        ([], "ISO 8601"),
        (1e300, "seconds"),
        ("2026-03-02", "future"),
        (1_900_000_000, "future"),
        (1_700_000_000_000, "seconds|future"),
        ("1969-12-31T23:59:59Z", "before 1970"),
        (-1, "before 1970"),
        ("0001-01-01T00:00:00+14:00", "ISO 8601"),
    ],
)
def test_times_that_are_refused(at: object, says: str) -> None:
    assert any(word in reason(one(text="x", at=at)) for word in says.split("|"))


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (b"{", "not valid JSON"),
        (b"[]", "not a JSON object"),
        (b'"text"', "not a JSON object"),
        (b"{}", "'text'"),
        (b'{"text": 7}', "'text'"),
        (b'{"text": ""}', "empty"),
        (b'{"text": "a\\u0000b"}', "NUL"),
        (b'{"text": "\\ud800"}', "Unicode"),
        (b'{"text": "\xff"}', "UTF-8"),
        (b'{"text": "x", "kind": "stare"}', "kinds: view"),
        (b'{"text": "x", "kind": 1}', "kinds: view"),
        (b'{"text": "x", "rating": 5}', "unknown field 'rating'"),
        (b'{"text": "x", "text": "y"}', "twice"),
        (b'{"text": "x", "item": 7}', "'item'"),
        (b'{"text": "x", "item": ""}', "'item'"),
        (b'{"text": "x", "catalogue": "a\\nb"}', "'catalogue'"),
        (b'{"text": "x", "item": "' + b"y" * 513 + b'"}', "'item'"),
        (b'{"text": "x", "at": NaN}', "NaN"),
        (b"[" * 60_000, "not valid JSON"),
        (b'{"text": "x", "at": ' + b"9" * 5_000 + b"}", "not valid JSON"),
        (b'{"text": "' + b"x" * jsonl.MAX_LINE + b'"}', "longer than"),
    ],
)
def test_a_bad_line_is_dropped_and_the_rest_kept(line: bytes, says: str) -> None:
    good = b'{"text": "good"}'

    first, bad, last = read(good + b"\n\n" + line + b"\r\n" + good)

    assert isinstance(first, Behaviour)
    assert isinstance(last, Behaviour)
    assert isinstance(bad, Dropped)
    assert bad.line == 3
    assert says in bad.reason


def test_a_reason_never_quotes_the_text() -> None:
    rows = read(b'{"text": "my secret \\u0000"}\n{"text": "my secret", "kind": "my secret"}')

    assert not any("secret" in reason(row) for row in rows)


@pytest.mark.parametrize("step", [1, 3, 100_000])
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_any_pipe_gives_the_same(step: int, pack: type[bytes]) -> None:
    plain = b'\xef\xbb\xbf{"text": "one"}\n{"text": "two"}\r\n\n{"text": "three"}'
    inner = io.BytesIO(pack(plain))

    rows = [
        row
        for row in jsonl.read(pipe(lambda: inner.read(step)), now=NOW)
        if isinstance(row, Behaviour)
    ]

    assert [row.text for row in rows] == ["one", "two", "three"]


def test_gzip_is_told_by_content_and_members_are_joined(tmp_path: Path) -> None:
    path = tmp_path / "export.txt"
    path.write_bytes(gzip.compress(b'{"text": "one"}\n') + gzip.compress(b'{"text": "two"}\n'))

    rows = list(jsonl.read(path, now=NOW, name="mine"))

    assert [r.text for r in rows if isinstance(r, Behaviour)] == ["one", "two"]
    assert all(isinstance(r, Behaviour) and r.source == "mine" for r in rows)


@pytest.mark.parametrize(
    ("blob", "says"),
    [
        (b"", "nothing to read"),
        (b"\n \n\r\n", "nothing to read"),
        (gzip.compress(b""), "nothing to read"),
        (b"\xff\xfe{\0}\0", "not a text file"),
        (b"PK\x03\x04\0\0\0\0", "not a text file"),
        (gzip.compress(gzip.compress(b'{"text": "x"}')), "not a text file"),
        (gzip.compress(b'{"text": "x"}')[:-9], "ends early"),
        (b"\x1f\x8b\x08", "ends early"),
        (b"\x1f\x8brubbish", "damaged"),
        (gzip.compress(b'{"text": "x"}') + b"rubbish", "damaged"),
    ],
)
def test_what_is_no_such_file_is_refused(blob: bytes, says: str) -> None:
    with pytest.raises(ConfigError, match=says) as caught:
        read(blob)
    assert caught.value.hint


def test_a_bomb_is_refused() -> None:
    bomb = gzip.compress(b" " * (jsonl.FREE + (48 << 20)), compresslevel=9)

    with pytest.raises(ConfigError, match="times its size"):
        read(bomb)


def test_missing_files_and_folders(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no file"):
        list(jsonl.read(tmp_path / "nothing.jsonl", now=NOW))
    with pytest.raises(ConfigError, match="folder"):
        list(jsonl.read(tmp_path, now=NOW))
    with pytest.raises(ConfigError, match="cannot read"):
        list(jsonl.read(tmp_path / ("x" * 5_000), now=NOW))


def test_an_endless_line_is_never_held() -> None:
    pieces = itertools.chain([b"x" * (1 << 16)] * 512, itertools.repeat(b""))  # 32 MiB

    tracemalloc.start()
    (row,) = jsonl.read(pipe(lambda: next(pieces)), now=NOW)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert "longer than" in reason(row)
    assert peak < 2 << 20


def test_it_streams() -> None:
    pulled = itertools.count()
    piece = b'{"text": "again"}\n' * 100

    rows: Iterator[Behaviour | Dropped] = jsonl.read(
        pipe(lambda: piece if next(pulled) >= 0 else b""), now=NOW
    )
    for _ in range(500):
        next(rows)

    assert next(pulled) <= 10


VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=40)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=5,
)
ROWS = st.dictionaries(
    st.sampled_from(["text", "kind", "item", "at", "catalogue", "other"]), VALUES, max_size=5
)


def rows_or_refusal(blob: bytes) -> list[Behaviour | Dropped] | ConfigError:
    """Both outcomes are fine; any other exception fails the test."""
    try:
        return read(blob)
    except ConfigError as refusal:
        return refusal


@settings(deadline=None)
@given(st.one_of(st.binary(max_size=2_000), st.lists(ROWS, min_size=1, max_size=5)), st.booleans())
def test_whatever_comes_only_rows_or_one_refusal(
    given_rows: bytes | list[dict[str, object]], packed: bool
) -> None:
    plain = (
        given_rows
        if isinstance(given_rows, bytes)
        else "\n".join(map(json.dumps, given_rows)).encode()
    )

    got = rows_or_refusal(gzip.compress(plain) if packed else plain)

    if isinstance(got, ConfigError):
        assert got.hint
    else:
        assert got
        assert all(isinstance(r, Dropped) or r.at <= NOW + timedelta(minutes=5) for r in got)


@settings(deadline=None)
@given(st.data())
def test_a_damaged_gzip_never_crashes(data: st.DataObject) -> None:
    blob = bytearray(gzip.compress(b'{"text": "some words", "kind": "like"}\n' * 50))
    blob[data.draw(st.integers(0, len(blob) - 1))] ^= data.draw(st.integers(1, 255))
    cut = data.draw(st.integers(0, len(blob)))

    for damaged in (bytes(blob), bytes(blob[:cut])):
        got = rows_or_refusal(damaged)
        assert got.hint if isinstance(got, ConfigError) else got
