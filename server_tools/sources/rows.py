"""One raw row → one `Item`: names, types and texts made ours, or an error that names the line."""

import hashlib
import math
import re
import struct
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from urllib.parse import quote

import numpy as np

from ondevice.domain import Item
from ondevice.errors import ConfigError, FormatError
from ondevice.formats import records

Row = tuple[str, Mapping[str, object]]  # where it stands, for messages; field → value

ALIASES: Mapping[str, tuple[str, ...]] = {
    "id": ("id", "item_id"),
    "title": ("title", "name"),
    "description": ("description", "text"),
    "category": ("category", "categories"),
    "tags": ("tags",),
    "price": ("price",),
    "rating": ("rating",),
    "popularity": ("popularity",),
    "date": ("date", "year"),
    "url": ("url",),
}
_SLOTS = 1 << 10
_SLOT = np.dtype([("high", "<u8"), ("low", "<u8"), ("place", "<u8")])
_DAY = re.compile(r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ].*)?)?)?", re.ASCII)
_LINE_ENDS = re.compile("\r\n|[\r\x0b\x0c\x85\u2028\u2029]")
_BLANKS = re.compile(r"[^\S\n]+")
_MANY_LINES = re.compile(r"\s*\n\s*")
_OTHER_SCHEME = re.compile(r"(?!https?:)[a-z][a-z0-9+.-]*://", re.IGNORECASE)
_URL_SAFE = "".join(chr(c) for c in range(0x21, 0x7F))  # what a URL may hold as it is


def items(rows: Iterable[Row], *, source: str) -> Iterator[Item]:
    """Yield an item for each row.

    Raises:
        ConfigError: a row cannot be an item, two have one id, or there is none.
    """
    ids = Ids()
    for where, row in rows:
        item = item_of(row, where=where)
        before = ids.add(item.id, where.rpartition(", ")[2])
        if before is not None:
            raise ConfigError(
                f"{where}: the id '{item.id}' was used in {before}",
                hint="give each item an id of its own, or remove one of the two",
            )
        yield item
    if not len(ids):
        raise ConfigError(f"{source} has no items", hint="a catalogue needs at least one")


class Ids:
    """Ids seen so far, and where: 24 bytes each, in a table that is at most two thirds full.

    Ids are known by 128 bits of BLAKE2b: two different ones are never taken for the same.
    """

    def __init__(self) -> None:
        self._table = np.zeros(_SLOTS, dtype=_SLOT)
        self._count = 0
        self._kind = ""  # of places: "line", "package"

    def __len__(self) -> int:
        return self._count

    def add(self, name: str, where: str) -> str | None:
        """Remember `name` at `where`, as in "line 7"; return where it was before, or None."""
        kind, _, number = where.rpartition(" ")
        digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=16).digest()
        high, low = struct.unpack("<QQ", digest)
        place = self._find(high, low)
        slot = self._table[place]
        if slot["place"]:
            return f"{self._kind} {slot['place']}".strip()
        self._kind = kind
        self._count += 1
        self._table[place] = (high, low, int(number) if number.isdecimal() else self._count)
        if 3 * self._count > 2 * len(self._table):
            self._grow()
        return None

    def _find(self, high: int, low: int) -> int:
        mask = len(self._table) - 1
        place = high & mask
        while True:
            slot = self._table[place]
            if not slot["place"] or (slot["high"] == high and slot["low"] == low):
                return int(place)
            place = (place + 1) & mask

    def _grow(self) -> None:
        old = self._table[self._table["place"] > 0]
        self._table = np.zeros(2 * len(self._table), dtype=_SLOT)
        for slot in old:
            self._table[self._find(int(slot["high"]), int(slot["low"]))] = slot


def item_of(row: Mapping[str, object], *, where: str) -> Item:
    """Return the item in `row`. Fields that we have no use for are left out.

    Raises:
        ConfigError: names `where`, what is wrong and what to do.
    """
    values = {field: _first(row, names) for field, names in ALIASES.items()}
    categories = _words(values["category"], "|", where, "category")
    tags = (*categories[1:], *_words(values["tags"], "|;,", where, "tags"))
    item = Item(
        id=_text(values["id"], where, "id"),
        title=_text(values["title"], where, "title"),
        description=_text(values["description"], where, "description", lines=True),
        category=categories[0] if categories else "",
        tags=tuple(dict.fromkeys(tags)),
        price=_number(values["price"], where, "price"),
        rating=_number(values["rating"], where, "rating", high=5.0),
        popularity=_number(values["popularity"], where, "popularity"),
        date=_date(values["date"], where),
        url=_url(values["url"], where),
    )
    for field in ("id", "title"):
        if not getattr(item, field):
            raise ConfigError(
                f"{where}: the item has no {field}",
                hint=f"every item needs a field called {' or '.join(ALIASES[field])}",
            )
    try:
        records.row_bytes(item)
    except FormatError as error:
        raise ConfigError(f"{where}: {error}", hint="shorten or correct that field") from error
    return item


def _first(row: Mapping[str, object], names: tuple[str, ...]) -> object:
    found = (row.get(name) for name in names)
    return next((value for value in found if value not in (None, "", [])), None)


def _text(value: object, where: str, field: str, *, lines: bool = False) -> str:
    """Composed characters, single blanks; control characters are a sign of binary data."""
    if value is None:
        return ""
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str):
        raise ConfigError(f"{where}: {field} must be a text", hint="put it between quotes")
    text = _LINE_ENDS.sub("\n", unicodedata.normalize("NFC", value))
    text = _MANY_LINES.sub("\n" if lines else " ", _BLANKS.sub(" ", text)).strip()
    bad = next((c for c in text if unicodedata.category(c) in {"Cc", "Cs"} and c != "\n"), None)
    if bad is not None:
        raise ConfigError(
            f"{where}: {field} holds the control character U+{ord(bad):04X}",
            hint="is this binary data? remove the character, or save the file as UTF-8 text",
        )
    return text


def _words(value: object, separators: str, where: str, field: str) -> list[str]:
    """A list of texts, or one text split at the first of `separators` that it holds."""
    if isinstance(value, str):
        mark = next((mark for mark in separators if mark in value), None)
        value = value.split(mark) if mark else [value]
    elif value is None:
        value = []
    if not isinstance(value, list):
        raise ConfigError(f"{where}: {field} must be a list of texts, or one text")
    return [text for text in (_text(word, where, field) for word in value) if text]


def _number(value: object, where: str, field: str, *, high: float = 1e15) -> float | None:
    if value is None:
        return None
    try:
        number = float(value) if isinstance(value, int | float | str) else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if isinstance(value, bool) or not 0.0 <= number <= high:
        raise ConfigError(
            f"{where}: {field} must be a number from 0 to {high:g}, not {value!r}",
            hint="write it with a decimal point and without a unit, or leave it out",
        )
    return number


def _date(value: object, where: str) -> str | None:
    if value is None:
        return None
    match = _DAY.fullmatch(_text(value, where, "date"))
    try:
        if match:
            date(*(int(part or 1) for part in match.groups()))
            return "-".join(part for part in match.groups() if part)  # as precise as it came
    except ValueError:
        pass  # no such day in the calendar: the same message
    raise ConfigError(
        f"{where}: {value!r} is not a date",
        hint="write YYYY, YYYY-MM or YYYY-MM-DD, or leave it out",
    )


def _url(value: object, where: str) -> str | None:
    """Only the web is kept: an item with another kind of address is sound, and has no link."""
    if value is None:
        return None
    url = quote(_text(value, where, "url"), safe=_URL_SAFE)
    if _OTHER_SCHEME.match(url):
        return None
    if not url.startswith(("https://", "http://")):
        raise ConfigError(
            f"{where}: url must start with https:// or http://, not {value!r}",
            hint="correct it, or leave it out",
        )
    return url
