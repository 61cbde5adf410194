"""A trained head on disk: the folder of its space, and `items.npz` for builds.

The space goes to devices. What was learned of single items belongs to a catalogue's build, where
`ondevice-server build --residuals` finds it by item id; a device meets it in the codes and biases.
"""

import hashlib
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondevice.domain import Item
from ondevice.errors import ConfigError
from ondevice.formats import space as spaces
from ondevice.formats.space import Space
from ondevice.formats.tensors import F32

ITEMS_FILE = "items.npz"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Learned:
    """A space, and what was learned of n items."""

    space: Space
    ids: tuple[str, ...]
    residual: F32  # (n, d), added to what the space makes of a text
    bias: F32  # (n,), in units of the score

    @property
    def digest(self) -> str:
        """SHA-256 of the space and of all that was learned of items, hex."""
        found = hashlib.sha256(self.space.digest.encode())
        for item in self.ids:
            raw = item.encode("utf-8", "surrogatepass")
            found.update(len(raw).to_bytes(4, "big") + raw)
        for array in (self.residual, self.bias):
            found.update(array.astype("<f4").tobytes())
        return found.hexdigest()

    def of(self, ids: Sequence[str]) -> tuple[F32, F32]:
        """Return residuals (k, d) and biases (k,) of `ids`; a new item has those of a rare one.

        That is no residual, and the least bias that was learned.
        """
        known = {item: row for row, item in enumerate(self.ids)}
        residual = np.zeros((len(ids), self.space.dimension), dtype=np.float32)
        least = float(self.bias.min()) if len(self.bias) else 0.0
        bias = np.full(len(ids), least, dtype=np.float32)
        pairs = [(place, known[item]) for place, item in enumerate(ids) if item in known]
        if pairs:
            places, rows = (list(column) for column in zip(*pairs, strict=True))
            residual[places], bias[places] = self.residual[rows], self.bias[rows]
        return residual, bias

    def residuals(self, items: Sequence[Item]) -> F32:
        """Return the residuals (k, d) of `items`, for a build."""
        return self.of([item.id for item in items])[0]

    def biases(self, items: Sequence[Item]) -> F32:
        """Return the biases (k,) of `items`, for a build."""
        return self.of([item.id for item in items])[1]


def write(learned: Learned, folder: Path) -> None:
    """Write `learned` into `folder`; the same head gives the same bytes."""
    spaces.write(learned.space, folder)
    with (folder / ITEMS_FILE).open("wb") as file:
        np.savez(
            file,
            space=np.array(learned.space.digest),
            ids=np.array(learned.ids, dtype=np.str_),
            residual=learned.residual,
            bias=learned.bias,
        )


def read(folder: Path) -> Learned:
    """Read the head in `folder`.

    Raises:
        ConfigError: there are no items, or they belong to another space.
        FormatError: the space is malformed.
    """
    space = spaces.read(folder)
    path = folder / ITEMS_FILE
    try:
        with np.load(path, allow_pickle=False) as found:
            learned = Learned(
                space=space,
                ids=tuple(found["ids"].tolist()),
                residual=found["residual"].astype(np.float32),
                bias=found["bias"].astype(np.float32),
            )
            owner = str(found["space"])
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise ConfigError(
            f"cannot read the items of a head in {path}: {error}",
            hint="give a folder that ondevice-server train-head wrote",
        ) from error
    n, d = len(learned.ids), space.dimension
    if owner != space.digest or learned.residual.shape != (n, d) or learned.bias.shape != (n,):
        raise ConfigError(
            f"{path} belongs to another space", hint="train the head again, into a new folder"
        )
    return learned


def has_items(folder: Path) -> bool:
    """Whether `folder` holds more than a space."""
    return (folder / ITEMS_FILE).is_file()
