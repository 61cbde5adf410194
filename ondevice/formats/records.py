"""Catalogue records: ids and items of one row group, readable one row at a time (SPEC 6)."""

import re
import struct
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ondevice.domain import Item
from ondevice.errors import FormatError
from ondevice.formats import canonical, limits
from ondevice.formats.fields import UPGRADE, Fields, check_text

MAGIC = b"ODR1"
_HEAD = struct.Struct("<4sIII")
_OPTIONAL: Final = (
    "description",
    "category",
    "tags",
    "price",
    "rating",
    "popularity",
    "date",
    "url",
)
_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2})?)?", re.ASCII)  # a year, a month or a day
_URL = re.compile(r"https?://[!-~]+")  # the only schemes that an item may ask to open (SPEC 6.5)
_PARSED = 1024  # items of a catalogue that stay parsed: a few lists, below 2 MiB
_LARGEST = 1e15  # of a price or a popularity


class RecordTable:
    """Rows of one group. Ids are checked at once, an item when it is asked for."""

    __slots__ = ("_blob", "_starts", "ids")

    def __init__(self, ids: list[str], starts: NDArray[np.uint32], blob: memoryview) -> None:
        self.ids = ids
        self._starts = starts  # (rows + 1,)
        self._blob = blob

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, row: int) -> Item:
        """Parse row `row`, from 0.

        Raises:
            IndexError: there is no such row.
            FormatError: the record is malformed.
        """
        if not 0 <= row < len(self.ids):
            raise IndexError(f"row {row} of {len(self.ids)}")
        raw = self._blob[int(self._starts[row]) : int(self._starts[row + 1])]
        return parse_row(self.ids[row], raw)

    def __iter__(self) -> Iterator[Item]:
        return (self[row] for row in range(len(self)))


def encode(items: Sequence[Item]) -> bytes:
    """Write one row group (SPEC 6.1).

    Raises:
        FormatError: an item that `decode` would refuse, an id twice, or too many bytes.
    """
    return join([item.id for item in items], [row_bytes(item) for item in items])


def row_bytes(item: Item) -> bytes:
    """Return the canonical JSON of `item` without its id (SPEC 6.4).

    Raises:
        FormatError: a field is one that a reader would refuse.
    """
    table: dict[str, object] = {"title": item.title}
    for key in _OPTIONAL:
        value = getattr(item, key)
        if value not in ("", (), None):
            table[key] = list(value) if key == "tags" else value
    blob = canonical.dump(table)
    parse_row(item.id, blob)
    return blob


def parse_row(item_id: str, raw: bytes | memoryview) -> Item:
    """Read one record: the inverse of `row_bytes`.

    Raises:
        FormatError: for every malformed input.
    """
    what = f"item {item_id!r}"
    check_text(item_id, what="an item's id", high=limits.ID)
    table = canonical.load(raw, what=what, limit=limits.ITEM)
    fields = Fields(table, what=what, required=("title",), optional=_OPTIONAL)
    return Item(
        id=item_id,
        title=fields.text("title", high=limits.TITLE),
        description=fields.text("description", high=limits.DESCRIPTION, lines=True)
        if "description" in fields
        else "",
        category=fields.text("category", high=limits.CATEGORY) if "category" in fields else "",
        tags=_tags(fields, what) if "tags" in fields else (),
        price=_number(fields, "price", high=_LARGEST),
        rating=_number(fields, "rating", high=5.0),
        popularity=_number(fields, "popularity", high=_LARGEST),
        date=_date(fields, what) if "date" in fields else None,
        url=_url(fields, what) if "url" in fields else None,
    )


def join(ids: Sequence[str], rows: Sequence[bytes]) -> bytes:
    """Put records that `row_bytes` gave into one group; see `encode`."""
    names = "\n".join(ids).encode("utf-8", "surrogatepass")
    starts = np.zeros(len(rows) + 1, dtype=np.uint64)
    np.cumsum(np.array([len(row) for row in rows], dtype=np.uint64), out=starts[1:])
    if int(starts[-1]) > limits.SHARD:
        raise FormatError(f"{starts[-1]} bytes of records are more than {limits.SHARD}")
    head = _HEAD.pack(MAGIC, 1, len(rows), len(names))
    blob = b"".join((head, starts.astype("<u4").tobytes(), names, *rows))
    decode(blob)
    return blob


def decode(blob: bytes | bytearray | memoryview) -> RecordTable:
    """Read a row group without parsing its items; keeps a view of `blob`.

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    if len(blob) < _HEAD.size or len(blob) > limits.SHARD:
        raise FormatError(f"records take {_HEAD.size} to {limits.SHARD} bytes, got {len(blob)}")
    magic, version, rows, size = _HEAD.unpack_from(blob)
    if magic != MAGIC or version != 1:
        raise FormatError(f"records start with {MAGIC!r} 1, not {magic!r} {version}", hint=UPGRADE)
    names_at = _HEAD.size + 4 * (rows + 1)
    if rows > limits.GROUP_ROWS or names_at + size > len(blob):
        raise FormatError(f"{rows} records with {size} bytes of ids do not fit the file")
    starts = np.frombuffer(blob, "<u4", rows + 1, _HEAD.size)
    body = memoryview(blob)[names_at + size :]
    if starts[0] != 0 or (starts[1:] <= starts[:-1]).any() or starts[-1] != len(body):
        raise FormatError("the starts of the records do not follow one another to the end")
    return RecordTable(_ids(bytes(blob[names_at : names_at + size]), rows), starts, body)


def _ids(names: bytes, rows: int) -> list[str]:
    try:
        text = names.decode("utf-8")
    except UnicodeDecodeError as error:
        raise FormatError(f"the ids are not UTF-8: {error}") from error
    ids = text.split("\n") if rows else []
    if len(ids) != rows or (not rows and names):
        raise FormatError(f"{rows} records have {len(ids)} ids")
    if rows:
        longest = max(map(len, ids))
        if not all(ids) or longest > limits.ID:
            raise FormatError(f"an id has 1 to {limits.ID} characters")
        check_text(text.replace("\n", ""), what="the ids", high=limits.SHARD)
        if len(set(ids)) != rows:
            raise FormatError("an id appears twice")
    return ids


def _number(fields: Fields, key: str, *, high: float) -> float | None:
    return fields.number(key, low=0.0, high=high) if key in fields else None


def _tags(fields: Fields, what: str) -> tuple[str, ...]:
    tags = fields.array("tags", high=limits.TAGS)
    if not tags:
        raise FormatError(f"{what}: an empty list of tags is left out")
    return tuple(check_text(tag, what=f"{what}: a tag", high=limits.TAG) for tag in tags)


def _date(fields: Fields, what: str) -> str:
    value = fields.matching("date", _DATE)
    try:
        date.fromisoformat((value + "-01-01")[:10])
    except ValueError as error:
        raise FormatError(f"{what}: {value} is not in the calendar") from error
    return value


def _url(fields: Fields, what: str) -> str:
    value = fields.matching("url", _URL)
    if len(value) > limits.URL:
        raise FormatError(f"{what}: url has more than {limits.URL} characters")
    return value


class ItemTable:
    """Items that are in memory already, with the face of a `RecordTable`."""

    __slots__ = ("_items", "ids")

    def __init__(self, items: Sequence[Item]) -> None:
        self._items = tuple(items)
        self.ids = [item.id for item in self._items]

    def __len__(self) -> int:
        return len(self._items)

    def __getitem__(self, row: int) -> Item:
        """Return row `row`, from 0."""
        return self._items[row]


class Records:
    """The records of a whole catalogue: row groups one behind the other, ids looked up lazily."""

    __slots__ = ("_bounds", "_ids", "_parsed", "_rows", "_tables")

    def __init__(self, tables: Sequence[RecordTable | ItemTable]) -> None:
        self._tables = tuple(tables)
        self._bounds = [0, *accumulate(len(table) for table in self._tables)]
        self._ids: list[str] | None = None
        self._rows: dict[str, int] | None = None
        self._parsed: dict[int, Item] = {}

    def __len__(self) -> int:
        return self._bounds[-1]

    def __getitem__(self, row: int) -> Item:
        """Parse row `row` of the catalogue, from 0; those asked for lately are kept.

        Raises:
            IndexError: there is no such row.
            FormatError: the record is malformed.
        """
        if not 0 <= row < len(self):
            raise IndexError(f"row {row} of {len(self)}")
        found = self._parsed.get(row)
        if found is None:
            group = bisect_right(self._bounds, row) - 1
            found = self._tables[group][row - self._bounds[group]]
            if len(self._parsed) >= _PARSED:
                self._parsed.clear()
            self._parsed[row] = found
        return found

    def __iter__(self) -> Iterator[Item]:
        return (self[row] for row in range(len(self)))

    @property
    def ids(self) -> list[str]:
        """The id of every row; built once, not to be changed."""
        if self._ids is None:
            self._ids = [name for table in self._tables for name in table.ids]
        return self._ids

    def row(self, item_id: str) -> int:
        """Return the row of `item_id`; the first call builds the table.

        Raises:
            KeyError: the catalogue has no such item.
            FormatError: two groups hold the same id (SPEC 6.3).
        """
        return self._table()[item_id]

    def has(self, item_id: str) -> bool:
        """Say whether the catalogue has `item_id`; the first call builds the table."""
        return item_id in self._table()

    def _table(self) -> dict[str, int]:
        if self._rows is None:
            rows = {name: row for row, name in enumerate(self.ids)}
            if len(rows) != len(self):
                raise FormatError("an id appears in two row groups")
            self._rows = rows
        return self._rows
