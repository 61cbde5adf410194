"""Real films and the people who rated them: how the two data sets meet, and whom tests replay."""

import csv
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from math import sqrt
from pathlib import Path
from typing import Any

LIKED = 4.0  # of ratings from 1 to 5
ENOUGH = 20  # liked films that a person must have to be replayed
SEEN_OFTEN = 5  # liked films of a genre before it counts as one
START = 1_700_000_000  # seconds since 1970 of the first behaviour that is replayed
GENRES = {
    "Sci-Fi": "Science Fiction",
    "Film-Noir": "Noir",
    "Animation": "Animated",
    "Children's": "Family",
}  # the raters' names of genres → the catalogue's
_ARTICLE = re.compile(r"(.*), (the|a|an|la|le|les|il|el|das|der|die)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Film:
    """A film as the raters' data set tells it, and its id in the catalogue if it is there."""

    text: str
    genres: frozenset[str]
    item: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Taste:
    """The genre in which a person differs most from the catalogue."""

    user: str
    genre: str
    liked: int  # films of that genre among the liked ones
    films: int  # liked ones
    standard_score: float


@dataclass(frozen=True, kw_only=True)
class RealInput:
    """A catalogue of films, and people with the films they liked, oldest first."""

    genres: Mapping[str, frozenset[str]]  # catalogue id → genres
    films: Mapping[str, Film] = field(repr=False)
    likes: Mapping[str, Sequence[str]] = field(repr=False)

    @classmethod
    def read(cls, data: Path) -> "RealInput":
        rows = list(_json_lines(data / "catalogues" / "content_films_wikipedia_3k.jsonl"))
        known = {(_plain(row["title"]), row["year"]): row["id"] for row in rows}
        genres = {row["id"]: frozenset(row["tags"]) for row in rows}
        films = {}
        for row in _json_lines(data / "eval" / "ml100k" / "items.jsonl"):
            item = known.get((_plain(row["title"]), row["year"]))
            own = frozenset(GENRES.get(name, name) for name in row["categories"])
            text = f"{row['title']}. {', '.join(row['categories'])}. {row.get('text') or ''}"
            films[row["item_id"]] = Film(
                text=text[:600], genres=own if item is None else genres[item], item=item
            )
        return cls(genres=genres, films=films, likes=_likes(data / "eval" / "ml100k"))

    def share(self, genre: str, items: Iterable[str]) -> float:
        """Return which part of catalogue `items` has `genre`."""
        found = [genre in self.genres[item] for item in items]
        return sum(found) / len(found)

    @cached_property
    def clearest(self) -> Taste:
        """The taste that chance explains least, over all people with enough liked films.

        By the standard score of the number of liked films that have the genre, were they drawn
        from the catalogue. A rule on the history alone: it looks at no list.
        """
        shares = Counter(genre for own in self.genres.values() for genre in own)
        found = []
        for user, likes in self.likes.items():
            count = len(likes)
            liked = Counter(genre for film in likes for genre in self.films[film].genres)
            for genre, times in liked.items():
                share = shares[genre] / len(self.genres)
                if count >= ENOUGH and times >= SEEN_OFTEN and share > 0:
                    score = (times - count * share) / sqrt(count * share * (1 - share))
                    found.append((score, user, genre, times, count))
        score, user, genre, times, count = max(found)
        return Taste(user=user, genre=genre, liked=times, films=count, standard_score=score)

    def history(self, user: str) -> bytes:
        """The JSON lines that `ondevice-rec log -` reads: every liked film, oldest first.

        A film that the catalogue lacks is told in words, as anything else a person does: a history
        of matched films only would be a third of what the person liked.
        """
        lines = []
        for place, number in enumerate(self.likes[user]):
            film = self.films[number]
            told: dict[str, Any] = {"text": film.text, "kind": "like", "at": START + 60 * place}
            lines.append(json.dumps(told | ({"item": film.item} if film.item else {})))
        return "\n".join(lines).encode()


def _likes(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[tuple[int, int, str]]] = {}
    with (folder / "interactions.csv").open(encoding="utf-8", newline="") as file:
        for place, row in enumerate(csv.DictReader(file)):
            if float(row["value"]) >= LIKED:
                found.setdefault(row["user_id"], []).append((int(row["t"]), place, row["item_id"]))
    return {user: [item for _, _, item in sorted(rows)] for user, rows in found.items()}


def _json_lines(path: Path) -> Iterable[dict[str, Any]]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            yield json.loads(line)


def _plain(title: str) -> str:
    """“Postino, Il” and “Il Postino!” are one film."""
    low = title.lower().strip()
    swapped = _ARTICLE.fullmatch(low)
    words = f"{swapped[2]} {swapped[1]}" if swapped else low
    return re.sub(r"[^a-z0-9]+", " ", words).strip()
