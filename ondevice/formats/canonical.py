"""Canonical JSON: one value, one sequence of bytes (SPEC 2)."""

import json
from typing import NoReturn

from ondevice.errors import FormatError


def dump(obj: object) -> bytes:
    """Write `obj`: keys sorted, no white space, UTF-8, finite numbers (SPEC 2.1).

    Raises:
        FormatError: a number is not finite, a text is not Unicode (a lone surrogate), or a value
            has a type that JSON does not know.
    """
    try:
        text = json.dumps(
            obj, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
        )
        return text.encode("utf-8")
    except (TypeError, ValueError) as error:
        raise FormatError(f"cannot be written as canonical JSON: {error}") from error


def load(blob: bytes | bytearray | memoryview, *, what: str, limit: int) -> dict[str, object]:
    """Read one JSON object that is written exactly as `dump` writes it (SPEC 2.2).

    Args:
        blob: the whole document.
        what: names the document in messages.
        limit: largest size in bytes; checked first.

    Raises:
        FormatError: too large, not UTF-8, not JSON, not an object, a duplicate key, data behind
            the end, a number that is not finite, nesting without end, or another spelling.
    """
    if len(blob) > limit:
        raise FormatError(f"{what} has {len(blob)} bytes, more than the {limit} allowed")
    raw = bytes(blob)
    try:
        value: object = json.loads(
            raw.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
        )
        if not isinstance(value, dict):
            raise FormatError("the document is not a JSON object")
        if dump(value) != raw:
            raise FormatError("the JSON is not in canonical form")
    except FormatError as error:
        raise FormatError(f"{what}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise FormatError(f"{what} is not valid JSON: {error}") from error
    return value


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise FormatError("a key appears twice")
    return table


def _refuse(name: str) -> NoReturn:
    raise FormatError(f"{name} is not a number we accept")
