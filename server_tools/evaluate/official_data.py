"""The split that others published figures on: rows of one user's history and what came next.

A folder with `items.jsonl` has it where `official_valid.jsonl` and `official_test.jsonl` lie
beside it; each line is `{"user", "history", "target"}`, the history oldest first. Everything is
learned and chosen on the first file. The second is opened by `read_test` alone, which the
protocol calls when nothing is left to be chosen.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ondevice.errors import ConfigError

VALID, TEST = "official_valid.jsonl", "official_test.jsonl"
TUNING_SHARE = 8  # one of so many users of the first file helps to choose


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What somebody did, and what came next; items by their rows."""

    user: str
    history: tuple[int, ...]  # oldest first, never empty
    target: int

    @property
    def left_out(self) -> frozenset[int]:
        """Items that are no candidates: those of the history, unless one is the target."""
        return frozenset(self.history) - {self.target}

    @property
    def repeats(self) -> bool:
        """Whether what came next had been there before."""
        return self.target in self.history


def read_valid(folder: Path, rows: Mapping[str, int]) -> tuple[Row, ...]:
    """Read what may be learned from.

    Args:
        folder: of the data set.
        rows: item id → row.

    Raises:
        ConfigError: the file is missing or a line does not follow the form.
    """
    return _read(folder / VALID, rows)


def read_test(folder: Path, rows: Mapping[str, int]) -> tuple[Row, ...]:
    """Read what is only ever scored. For the last step of the protocol and for nothing else.

    Raises:
        ConfigError: the file is missing or a line does not follow the form.
    """
    return _read(folder / TEST, rows)


def split(found: Sequence[Row], *, seed: int = 0) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    """Divide by user: what is learned from, and an eighth of the users to choose by.

    Raises:
        ConfigError: there are too few users.
    """
    users = sorted({row.user for row in found})
    if len(users) < TUNING_SHARE:
        raise ConfigError(
            f"{len(users)} users in {VALID} are too few to learn from and to choose by",
            hint=f"give rows of {TUNING_SHARE} users or more",
        )
    order = np.random.default_rng(seed).permutation(len(users))
    held = {users[k] for k in order[: len(users) // TUNING_SHARE].tolist()}
    return (
        tuple(row for row in found if row.user not in held),
        tuple(row for row in found if row.user in held),
    )


def sequences(found: Sequence[Row]) -> list[tuple[int, ...]]:
    """Return everything each user is known to have done, oldest first, without doubles.

    Rows of one user overlap; a history may have lost its oldest end. A row whose history goes on
    from what is known adds only its target, any other starts a sequence of its own.
    """
    known: list[tuple[int, ...]] = []
    last: dict[str, tuple[int, ...]] = {}
    for row in found:
        whole = (*row.history, row.target)
        before = last.get(row.user)
        if before is not None and before[-len(row.history) :] == row.history:
            last[row.user] = (*before, row.target)
            continue
        if before is not None:
            known.append(before)
        last[row.user] = whole
    return known + list(last.values())


def _read(path: Path, rows: Mapping[str, int]) -> tuple[Row, ...]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"cannot read {path}: {error}",
            hint=f"the protocol 'official' needs {VALID} and {TEST} beside items.jsonl",
        ) from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            record = json.loads(line)
            history = tuple(rows[str(item)] for item in record["history"])
            row = Row(user=str(record["user"]), history=history, target=rows[str(record["target"])])
        except (ValueError, KeyError, TypeError) as error:
            raise ConfigError(
                f"{path}, line {number}: not a row: {error!r}",
                hint='each line is {"user", "history", "target"} with ids of items.jsonl',
            ) from error
        if not history:
            raise ConfigError(f"{path}, line {number}: the history is empty")
        found.append(row)
    if not found:
        raise ConfigError(f"{path} has no rows")
    return tuple(found)
