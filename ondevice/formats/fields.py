"""Strict reading of one JSON object: known keys, exact types, bounded values (SPEC 2.3)."""

import re
from collections.abc import Collection, Mapping

from ondevice.errors import FormatError

UPGRADE = "it may have been written by a newer version: upgrade ondevice-rec"
HEX_DIGEST = re.compile(r"[0-9a-f]{64}")  # SHA-256, or a 32-byte key
SLUG = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")  # safe as the name of a folder on any system
# Control characters move the cursor of a terminal, so no text may hold one (SPEC 2.4).
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_LINES = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


class Fields:
    """The fields of one object. Every method raises `FormatError` naming the field."""

    __slots__ = ("_table", "_what")

    def __init__(
        self,
        table: object,
        *,
        what: str,
        required: Collection[str],
        optional: Collection[str] = (),
    ) -> None:
        if not isinstance(table, dict):
            raise FormatError(f"{what} is not an object")
        for key in required:
            if key not in table:
                raise FormatError(f"{what}: '{key}' is missing")
        for key in table:
            if key not in required and key not in optional:
                raise FormatError(
                    f"{what}: unknown key {key!r}",
                    hint=UPGRADE,
                )
        self._table: Mapping[str, object] = table
        self._what = what

    def __contains__(self, key: str) -> bool:
        return key in self._table

    def raw(self, key: str) -> object:
        """Return the value as JSON had it."""
        return self._table[key]

    def constant(self, key: str, expected: str) -> None:
        """Refuse every value but `expected`."""
        if self._table[key] != expected:
            raise FormatError(f"{self._what}: {key} is not {expected!r}", hint=UPGRADE)

    def text(self, key: str, *, high: int, low: int = 1, lines: bool = False) -> str:
        """Return a text of `low` to `high` characters; `lines` allows newline and tab."""
        return check_text(
            self._table[key], what=f"{self._what}: {key}", low=low, high=high, lines=lines
        )

    def matching(self, key: str, pattern: re.Pattern[str]) -> str:
        """Return a text that `pattern` matches as a whole."""
        value = self._table[key]
        if not isinstance(value, str) or not pattern.fullmatch(value):
            raise FormatError(f"{self._what}: {key} does not follow {pattern.pattern}")
        return value

    def integer(self, key: str, *, low: int, high: int) -> int:
        """Return a whole number from `low` to `high`."""
        value = self._table[key]
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise FormatError(f"{self._what}: {key} is not a whole number from {low} to {high}")
        return value

    def number(self, key: str, *, low: float, high: float) -> float:
        """Return a number from `low` to `high`, finite bounds included."""
        value = self._table[key]
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise FormatError(f"{self._what}: {key} is not a number from {low:g} to {high:g}")
        return float(value)

    def array(self, key: str, *, high: int) -> list[object]:
        """Return a list of at most `high` values."""
        value = self._table[key]
        if not isinstance(value, list) or len(value) > high:
            raise FormatError(f"{self._what}: {key} is not a list of at most {high} values")
        return value

    def mapping(self, key: str, *, high: int) -> dict[str, object]:
        """Return an object of at most `high` keys."""
        value = self._table[key]
        if not isinstance(value, dict) or len(value) > high:
            raise FormatError(f"{self._what}: {key} is not an object of at most {high} keys")
        return value


def check_text(value: object, *, what: str, high: int, low: int = 1, lines: bool = False) -> str:
    """Return `value` if it is a text of `low` to `high` characters without control characters.

    Raises:
        FormatError: it is not.
    """
    if not isinstance(value, str) or not low <= len(value) <= high:
        raise FormatError(f"{what} is not a text of {low} to {high} characters")
    if (_CONTROL_BUT_LINES if lines else _CONTROL).search(value):
        raise FormatError(f"{what} holds a control character")
    return value
