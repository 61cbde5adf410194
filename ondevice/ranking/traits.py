"""What a list must know of an item beside its score: its series, its source, its age, its twin."""

import re
import unicodedata
from collections.abc import Iterator

from ondevice.domain import Item

_PART = re.compile(
    r"[\s:,;–—-]*\b(?:part|vol|volume|book|episode|ep|season|series|chapter|no|nr)\b\.?\s*"
    r"(?:\d+|[ivxl]+)\b.*$|[\s:,;–—-]*#\s*\d+.*$"
)
_NUMBER = re.compile(r"\s+(?:\d{1,2}|i{1,3}|iv|vi{0,3}|ix)$")
_BRACKETS = re.compile(r"\(([^()]*)\)|\[([^\[\]]*)\]")
_NUMBERED = re.compile(r"^(.*?),?\s*#\s*\d+$")
_HOST = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#:]+)", re.IGNORECASE)
_AGE = re.compile(r"(?:age|fsk|pegi|rated)[\s:]*(\d{1,2})\+?|(\d{1,2})\+")
_AGE_WORDS = {"adult": 18, "nsfw": 18, "x-rated": 18, "nc-17": 18, "r-rated": 17, "pg-13": 13}
_SHORTEST = 3  # letters of a series' name


def folded(text: str) -> str:
    """Return `text` for comparison: no case, no accents, no marks, single spaces."""
    plain = unicodedata.normalize("NFKD", text.casefold())
    kept = "".join(c if c.isalnum() else " " for c in plain if not unicodedata.combining(c))
    return " ".join(kept.split())


def tagged(item: Item, name: str) -> Iterator[str]:
    """Yield what tags of the form "name:value" say."""
    for tag in item.tags:
        key, mark, value = tag.partition(":")
        if mark and key.strip().casefold() == name and value.strip():
            yield value.strip()


def series_of(item: Item) -> str:
    """Return the series that `item` belongs to, folded; of a single work it is the title.

    A tag "series:NAME" says so; else the title is read: "Name (Saga, #2)", "Name: Part 2",
    "Name II", "Name: something". Equal answers mean the same series, and no more than that.
    """
    for name in tagged(item, "series"):
        return folded(name)
    title = item.title.casefold()
    for inside in _BRACKETS.finditer(title):
        numbered = _NUMBERED.match((inside[1] or inside[2] or "").strip())
        if numbered and _enough(numbered[1]):
            return folded(numbered[1])
    bare = _BRACKETS.sub(" ", title).strip()
    for stem in (_PART.sub("", bare), bare.partition(": ")[0]):
        if stem != bare and _enough(stem):
            return folded(_NUMBER.sub("", stem))
    stem = _NUMBER.sub("", bare)
    return folded(stem if _enough(stem) else item.title)


def source_of(item: Item) -> str:
    """Return who is behind `item`: a tag "source:NAME", else the host of its address, else ""."""
    for name in tagged(item, "source"):
        return name.casefold()
    host = _HOST.match(item.url) if item.url else None
    return host[1].casefold() if host else ""


def age_of(item: Item) -> int | None:
    """Return the age in years from which `item` is meant to be seen; None where nobody said.

    Read from tags: "age:16", "16+", "FSK 16", "PEGI 18", "PG-13", "adult".
    """
    ages = []
    for tag in item.tags:
        said = _AGE.fullmatch(tag.strip().casefold())
        if said:
            ages.append(int(said[1] or said[2]))
        elif tag.strip().casefold() in _AGE_WORDS:
            ages.append(_AGE_WORDS[tag.strip().casefold()])
    return max(ages, default=None)


def title_of(item: Item) -> str:
    """Return the title without what stands in brackets, folded; twins have the same one."""
    return folded(_BRACKETS.sub(" ", item.title)) or folded(item.title) or item.title


def _enough(stem: str) -> bool:
    return sum(c.isalpha() for c in stem) >= _SHORTEST
