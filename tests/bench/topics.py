"""What a host would learn if a device fetched only the topics it needs: a simulation."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from server_tools.evaluate import data


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One way to fetch in part."""

    name: str
    bytes: float  # share of the catalogue
    reach: float  # share of held-out items that the device has
    guess: float  # how often the host names the person's first topic


def told(folder: Path, *, seed: int = 0) -> list[Told]:
    """Simulate each way on the people of the data set in `folder`.

    The host knows how often each topic comes first among the publisher's people, and sees which
    topics a device fetches; it names the likeliest of them.
    """
    found = data.load(folder)
    topics = [next(iter(item.tags), item.category) for item in found.items]
    sizes = Counter(topics)
    split = data.split(found, seed=seed)
    publisher = Counter(_first(topics, rows)[0] for rows in split.publisher)
    rng = np.random.default_rng(seed)
    names = sorted(sizes)
    ways = [(needed, decoys) for needed in (1, 3, 6) for decoys in (0, needed)]
    return [
        *(
            _one(split.devices, topics, sizes, publisher, names, needed, decoys, rng)
            for needed, decoys in ways
        ),
        _one(split.devices, topics, sizes, publisher, names, len(names), 0, rng),
    ]


def _first(topics: list[str], rows: tuple[int, ...]) -> list[str]:
    """The topics of `rows`, the most frequent first."""
    return [name for name, _ in Counter(topics[row] for row in rows).most_common()]


def _one(
    devices: tuple[data.Device, ...],
    topics: list[str],
    sizes: Counter[str],
    publisher: Counter[str],
    names: list[str],
    needed: int,
    decoys: int,
    rng: np.random.Generator,
) -> Told:
    share, reach, right = [], [], []
    for device in devices:
        own = _first(topics, device.behaviours)
        fetched = set(own[:needed]) if needed < len(names) else set(names)
        others = [name for name in names if name not in fetched]
        if others and decoys:
            fetched |= set(rng.choice(others, min(decoys, len(others)), replace=False).tolist())
        share.append(sum(sizes[name] for name in fetched) / len(topics))
        reach.append(np.mean([topics[row] in fetched for row in device.held_out]))
        right.append(max(sorted(fetched), key=lambda name: publisher[name]) == own[0])
    label = "all" if needed >= len(names) else f"the first {needed}"
    return Told(
        name=label + (f" and {decoys} at random" if decoys else ""),
        bytes=float(np.mean(share)),
        reach=float(np.mean(reach)),
        guess=float(np.mean(right)),
    )
