"""Words in common: what exact mode reads beside vectors, where a space says how much it counts.

A vector of a few dimensions forgets names and numbers; words don't. Each item is the list of its
words, rare ones counting more, and a history is the weighted sum of its items. Only the owner's
exact mode may ask: it reads raw history (PRIVACY.md 1).
"""

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import NotReadyError
from ondevice.formats.space import Space
from ondevice.privacy.decoder import F64

I64 = NDArray[np.int64]

_WORD = re.compile(r"\w\w+")
# Words that say how a sentence is built and nothing of what it is about.
_SMALL = """
about above after again all also am an and any are as at be been before being below between both
but by can could did do does doing down during each few for from further get had has have having
he her here hers him his how if in into is it its itself just may me might more most must my no nor
not now of off on once only or other our ours out over own per same she should so some such than
that the their theirs them then there these they this those through to too under until up upon us
very via was we were what when where which while who whom why will with within without would you
your yours
"""
STOP = frozenset(_SMALL.split())


def tokens(text: str) -> list[str]:
    """Return the words of `text` that say something: lower case, two letters or more."""
    return [word for word in _WORD.findall(text.lower()) if word not in STOP]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Words:
    """The words of n items, as sparse unit rows: (1 + log count) * (1 + log(rarity))."""

    starts: I64  # (n + 1,), where each item's words begin
    columns: I64  # which word
    values: F64
    vocabulary: int

    @classmethod
    def of(cls, texts: Sequence[str]) -> "Words":
        """Read the words of n texts."""
        names: dict[str, int] = {}
        counted = [Counter(tokens(text)) for text in texts]
        lengths = np.array([len(one) for one in counted], dtype=np.int64)
        starts = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        columns = np.array(
            [names.setdefault(word, len(names)) for one in counted for word in one], dtype=np.int64
        )
        counts = np.array([k for one in counted for k in one.values()], dtype=np.float64)
        holders = np.bincount(columns, minlength=len(names)).astype(np.float64)
        rarity = 1.0 + np.log((1.0 + len(texts)) / (1.0 + holders))
        values = (1.0 + np.log(np.maximum(counts, 1.0))) * rarity[columns]
        squares = np.zeros(len(texts))
        np.add.at(squares, np.repeat(np.arange(len(texts)), lengths), values**2)
        values /= np.sqrt(np.repeat(squares, lengths))
        return cls(starts=starts, columns=columns, values=values, vocabulary=len(names))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def likeness(self, weights: Mapping[int, float]) -> F64:
        """Return how much each item has in common with a history, (n,): a cosine.

        Args:
            weights: row of an item → how much it counts; the sum of its words is compared.
        """
        history = np.zeros(self.vocabulary)
        for row, weight in weights.items():
            part = slice(self.starts[row], self.starts[row + 1])
            history[self.columns[part]] += weight * self.values[part]
        length = math.sqrt(float(history @ history))
        if length == 0.0:
            return np.zeros(len(self))
        spoken = np.concatenate([[0.0], np.cumsum(self.values * history[self.columns])])
        return np.asarray((spoken[self.starts[1:]] - spoken[self.starts[:-1]]) / length)


def weight_of(space: Space) -> float:
    """Return units of the score in one unit of likeness; 0 where words don't count.

    Raises:
        NotReadyError: the space reads words in a way that is not known here.
    """
    if space.lexical is None:
        return 0.0
    found = space.lexical.get("weight")
    if found is None or len(space.lexical) > 1 or found.shape != (1,):
        raise NotReadyError(
            f"the space '{space.name}' reads words in a way that is not known here",
            hint="upgrade ondevice-rec",
        )
    return float(found[0])
