"""Records: structure refused at once, items refused when asked for."""

import math
import struct
from dataclasses import replace

import pytest

from ondevice.domain import Item
from ondevice.errors import FormatError
from ondevice.formats import limits, records

PLAIN = Item(id="a", title="Alpha")
FULL = Item(
    id="b/ü 2",
    title="Beta",
    description="two\nlines",
    category="letters",
    tags=("greek", "second"),
    price=0.0,
    rating=5.0,
    popularity=12.0,
    date="2024-02-29",
    url="https://example.org/b?x=1",
)


def raw(rows: int, names: bytes, starts: list[int], body: bytes, *, version: int = 1) -> bytes:
    head = struct.pack("<4sIII", b"ODR1", version, rows, len(names))
    return head + struct.pack(f"<{len(starts)}I", *starts) + names + body


def test_items_come_back() -> None:
    table = records.decode(records.encode([PLAIN, FULL]))

    assert list(table) == [PLAIN, FULL]
    assert (len(table), table.ids) == (2, ["a", "b/ü 2"])
    assert records.decode(records.encode([])).ids == []


def test_bytes_by_hand() -> None:
    body = b'{"title":"Alpha"}'
    assert records.encode([PLAIN]) == raw(1, b"a", [0, len(body)], body)


@pytest.mark.parametrize("value", ["1999", "1999-12", "1999-12-31"])
def test_a_date_may_be_a_year_or_a_month(value: str) -> None:
    dated = replace(PLAIN, date=value)
    assert records.decode(records.encode([dated]))[0] == dated


@pytest.mark.parametrize("row", [-1, 2, 99])
def test_rows_outside_are_an_index_error(row: int) -> None:
    table = records.decode(records.encode([PLAIN, FULL]))
    with pytest.raises(IndexError):
        table[row]


@pytest.mark.parametrize(
    "blob",
    [
        b"",
        b"ODR1" + bytes(11),
        b"ODR2" + records.encode([PLAIN])[4:],
        raw(0, b"", [0], b"", version=2),
        raw(0, b"", [1], b"x"),
        raw(0, b"", [0], b"x"),
        raw(0, b"a", [0], b""),
        raw(1, b"a", [0, 2], b"{"),
        raw(1, b"a", [0, 1], b"{}"),
        raw(1, b"a", [1, 2], b"{}"),
        raw(2, b"a\nb", [0, 0, 2], b"{}"),
        raw(2, b"a\nb", [0, 2, 1], b"{}"),
        raw(2, b"a", [0, 1, 2], b"{}"),
        raw(1, b"a\nb", [0, 2], b"{}"),
        raw(1, b"", [0, 2], b"{}"),
        raw(2, b"a\na", [0, 1, 2], b"{}"),
        raw(1, b"\xff", [0, 2], b"{}"),
        raw(1, b"a\x1b", [0, 2], b"{}"),
        raw(1, b"a" * (limits.ID + 1), [0, 2], b"{}"),
        struct.pack("<4sIII", b"ODR1", 1, 0xFFFFFFFF, 0),
        struct.pack("<4sIII", b"ODR1", 1, limits.GROUP_ROWS + 1, 0) + bytes(200_000),
        struct.pack("<4sIII", b"ODR1", 1, 0, 0xFFFFFFFF) + bytes(4),
    ],
    ids=lambda blob: f"{len(blob)} bytes",
)
def test_a_broken_structure_is_refused_at_once(blob: bytes) -> None:
    with pytest.raises(FormatError):
        records.decode(blob)


@pytest.mark.parametrize(
    "body",
    [
        b"{}",
        b"[]",
        b"x",
        b'{"title":""}',
        b'{"title":7}',
        b'{"title":"A","title":"B"}',
        b'{"id":"a","title":"A"}',
        b'{"colour":"red","title":"A"}',
        b'{"description":"","title":"A"}',
        b'{"description":null,"title":"A"}',
        b'{"category":"a\\nb","title":"A"}',
        b'{"tags":[],"title":"A"}',
        b'{"tags":"x","title":"A"}',
        b'{"tags":[""],"title":"A"}',
        b'{"tags":[1],"title":"A"}',
        b'{"price":-1,"title":"A"}',
        b'{"price":"1","title":"A"}',
        b'{"price":true,"title":"A"}',
        b'{"price":NaN,"title":"A"}',
        b'{"rating":5.1,"title":"A"}',
        b'{"popularity":1e+16,"title":"A"}',
        b'{"date":"2023-02-29","title":"A"}',
        b'{"date":"2023-13","title":"A"}',
        b'{"date":"0000","title":"A"}',
        b'{"date":"20230201","title":"A"}',
        b'{"date":"2023-","title":"A"}',
        b'{"title":"A","url":"javascript:alert(1)"}',
        b'{"title":"A","url":"file:///etc/passwd"}',
        b'{"title":"A","url":"https://"}',
        b'{"title":"A","url":"https://a b"}',
        b'{"title":"A","url":"https://' + b"a" * limits.URL + b'"}',
        b'{"title":"' + b"a" * limits.ITEM + b'"}',
    ],
    ids=lambda body: body[:40].decode(),
)
def test_a_broken_item_is_refused_when_asked_for(body: bytes) -> None:
    good = b'{"title":"ok"}'
    blob = raw(2, b"a\nb", [0, len(good), len(good) + len(body)], good + body)
    table = records.decode(blob)

    assert table[0].title == "ok"
    with pytest.raises(FormatError, match="'b'"):
        table[1]


def test_more_bytes_than_a_shard_are_refused_first() -> None:
    with pytest.raises(FormatError, match="to 67108864 bytes"):
        records.decode(bytes(limits.SHARD + 1))


@pytest.mark.parametrize(
    "changes",
    [
        {"id": ""},
        {"id": "a\nb"},
        {"id": "\ud800"},
        {"title": ""},
        {"title": "\x1b[31mred"},
        {"title": "\ud800"},
        {"description": "x" * (limits.DESCRIPTION + 1)},
        {"description": "😀" * limits.DESCRIPTION},
        {"tags": ("a",) * (limits.TAGS + 1)},
        {"price": math.nan},
        {"popularity": math.inf},
        {"rating": -0.5},
        {"date": "yesterday"},
        {"url": "ftp://example.org/"},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_what_a_reader_would_refuse_is_not_written(changes: dict[str, object]) -> None:
    with pytest.raises(FormatError):
        records.encode([replace(PLAIN, **changes)])  # type: ignore[arg-type]


def test_ids_are_written_once_each() -> None:
    with pytest.raises(FormatError, match="twice"):
        records.encode([PLAIN, replace(FULL, id="a")])
    with pytest.raises(FormatError, match="have 1 ids"):
        records.join(["a"], [b"{}", b"{}"])


def test_a_group_that_is_too_large_is_not_written() -> None:
    with pytest.raises(FormatError, match="more than"):
        records.join(["a", "b"], [bytes(limits.SHARD), b"{}"])


def test_groups_follow_one_another() -> None:
    first = records.decode(records.encode([PLAIN]))
    third = records.ItemTable([replace(PLAIN, id="c"), replace(PLAIN, id="d")])
    chained = records.Records([first, records.decode(records.encode([])), third])

    assert len(chained) == 3
    assert [item.id for item in chained] == chained.ids == ["a", "c", "d"]
    assert chained.ids is chained.ids
    assert [chained.row(name) for name in ("a", "c", "d")] == [0, 1, 2]
    assert [chained.has(name) for name in ("d", "b")] == [True, False]
    with pytest.raises(KeyError):
        chained.row("b")
    for row in (-1, 3):
        with pytest.raises(IndexError):
            chained[row]


def test_an_id_in_two_groups_is_refused() -> None:
    table = records.decode(records.encode([PLAIN]))
    with pytest.raises(FormatError, match="two row groups"):
        records.Records([table, table]).row("a")
