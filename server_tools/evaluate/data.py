"""Read a data set of people and what they chose, and split it as the `users` protocol says.

A data set is a folder with `items.jsonl` (`item_id, title, text, categories`) and
`interactions.csv` (`user_id, item_id, t, value`). Pure after reading: no encoder, no scores.
"""

import csv
import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondevice.domain import Item
from ondevice.errors import ConfigError

PUBLISHER_SHARE = 0.7  # of the users; the others are devices
BEHAVIOUR_SHARE = 0.8  # of a device's positives, in time; the others are held out
MINIMUM_POSITIVES = (20, 10, 5)  # the first that leaves enough users counts
ENOUGH_USERS = 300
LIKED = 4.0  # of a rating from 1 to 5
_RATING_LEVELS = range(3, 11)  # how many different values a scale of 1 to 5 has


@dataclass(frozen=True, slots=True, kw_only=True)
class Dataset:
    """Items and, for each user, the rows of the items chosen: in time order, each once."""

    name: str
    items: tuple[Item, ...]
    users: Mapping[str, tuple[int, ...]]

    @property
    def texts(self) -> tuple[str, ...]:
        """What the encoder reads of each item."""
        return tuple(item.text for item in self.items)


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """A user nobody trained on: what the device saw, and what came next."""

    user: str
    behaviours: tuple[int, ...]  # rows, oldest first
    held_out: tuple[int, ...]  # rows, none of them among `behaviours`


@dataclass(frozen=True, slots=True, kw_only=True)
class Split:
    """The publisher's users (rows of each) and the devices."""

    minimum: int  # positives that a user needs to take part
    publisher: tuple[tuple[int, ...], ...]
    devices: tuple[Device, ...]


def load(folder: Path) -> Dataset:
    """Read the data set in `folder`.

    An interaction is a positive when its value is at least 4 where the values are ratings from
    1 to 5, and always otherwise. Later repeats of an item are dropped. The order is that of `t`,
    and that of the file where there is no `t` or two are equal.

    Raises:
        ConfigError: a file is missing or a line does not follow the form.
    """
    items = tuple(_items(folder / "items.jsonl"))
    rows = {item.id: row for row, item in enumerate(items)}
    if len(rows) != len(items):
        again, _ = Counter(item.id for item in items).most_common(1)[0]
        raise ConfigError(f"{folder / 'items.jsonl'}: item '{again}' occurs more than once")
    return Dataset(
        name=folder.resolve().name,
        items=items,
        users=_histories(folder / "interactions.csv", rows),
    )


def split(dataset: Dataset, *, seed: int = 0) -> Split:
    """Divide the users with enough positives into publisher's users and devices.

    Enough is 20, or 10, then 5, where fewer than 300 users have them.

    Raises:
        ConfigError: too few users are left to have both.
    """
    lengths = [len(rows) for rows in dataset.users.values()]
    minimum = next(
        (m for m in MINIMUM_POSITIVES if sum(n >= m for n in lengths) >= ENOUGH_USERS),
        MINIMUM_POSITIVES[-1],
    )
    kept = {user: rows for user, rows in dataset.users.items() if len(rows) >= minimum}
    names = sorted(kept)
    # The legacy generator gives the split behind the published figures of this project.
    np.random.RandomState(seed).shuffle(names)
    cut = int(PUBLISHER_SHARE * len(names))
    if not 0 < cut < len(names):
        raise ConfigError(
            f"{dataset.name}: {len(names)} users with {minimum} positives are too few to split",
            hint="give a data set with at least 2 such users",
        )
    return Split(
        minimum=minimum,
        publisher=tuple(kept[name] for name in names[:cut]),
        devices=tuple(device(name, kept[name]) for name in names[cut:]),
    )


def device(user: str, rows: tuple[int, ...]) -> Device:
    """Hold out the last fifth of `rows`."""
    cut = int(BEHAVIOUR_SHARE * len(rows))
    return Device(user=user, behaviours=rows[:cut], held_out=rows[cut:])


def _items(path: Path) -> Iterable[Item]:
    for number, line in enumerate(_lines(path), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            yield Item(
                id=str(record["item_id"]),
                title=str(record["title"]),
                description=str(record.get("text") or ""),
                tags=tuple(str(topic) for topic in record.get("categories") or ()),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise ConfigError(
                f"{path}, line {number}: not an item: {error!r}",
                hint='each line is {"item_id", "title", "text", "categories"}',
            ) from error


def _histories(path: Path, rows: Mapping[str, int]) -> dict[str, tuple[int, ...]]:
    columns = ("user_id", "item_id", "t", "value")
    reader = csv.DictReader(_lines(path))
    if not set(columns) <= set(reader.fieldnames or ()):
        raise ConfigError(f"{path}: the first line must name the columns {', '.join(columns)}")
    records = list(reader)
    try:
        values = [float(record["value"] or 1) for record in records]
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: a value is not a number: {error}") from error
    least = LIKED if _are_ratings(values) else -np.inf
    order = _time_order([record["t"] or "" for record in records])
    chosen: dict[str, dict[int, None]] = {}
    for n in order:
        user, item = records[n]["user_id"], records[n]["item_id"]
        if item in rows and values[n] >= least:
            chosen.setdefault(user, {})[rows[item]] = None
    return {user: tuple(found) for user, found in chosen.items()}


def _are_ratings(values: list[float]) -> bool:
    levels = set(values)
    in_range = bool(levels) and min(levels) >= 0.5 and max(levels) == 5.0
    return in_range and len(levels) in _RATING_LEVELS


def _time_order(times: list[str]) -> list[int]:
    """Positions by time; numbers by value, all else (ISO 8601) by letters; stable."""
    try:
        numbers = [float(time) if time else 0.0 for time in times]
    except ValueError:
        return sorted(range(len(times)), key=times.__getitem__)
    return sorted(range(len(times)), key=numbers.__getitem__)


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}",
            hint="a data set is a folder with items.jsonl and interactions.csv",
        ) from error
