"""Numbers, times and texts as the store keeps them. Both directions of each in one place."""

import hashlib
import struct
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from ondevice.domain import Behaviour
from ondevice.errors import ConfigError, FormatError

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICK = timedelta(microseconds=1)
_I16 = (-(1 << 15), (1 << 15) - 1)
_I64 = (-(1 << 63), (1 << 63) - 1)


def pack_step(x: Sequence[int]) -> bytes:
    """Write a step x_t: int16, little-endian.

    Raises:
        FormatError: a coordinate does not fit.
    """
    return _pack("h", x, _I16, "step")


def unpack_step(blob: bytes) -> tuple[int, ...]:
    """Read what `pack_step` wrote."""
    return _unpack("h", blob, "step")


def pack_row(y: Sequence[int]) -> bytes:
    """Write a released row y_t: int64, little-endian.

    Raises:
        FormatError: a coordinate does not fit.
    """
    return _pack("q", y, _I64, "released row")


def unpack_row(blob: bytes) -> tuple[int, ...]:
    """Read what `pack_row` wrote."""
    return _unpack("q", blob, "released row")


def ticks(at: datetime) -> int:
    """Return microseconds since 1970.

    Raises:
        ConfigError: `at` has no time zone.
    """
    if at.tzinfo is None:
        raise ConfigError(f"the time {at} has no time zone", hint="write it like 2026-01-31T12:00Z")
    return (at - _EPOCH) // _TICK


def moment(ticks: int) -> datetime:
    """Return the UTC time of `ticks`."""
    return _EPOCH + ticks * _TICK


def identity(behaviour: Behaviour) -> bytes:
    """Return the digest that two records of one behaviour share: all fields but the id.

    Raises:
        ConfigError: a text is not Unicode, or the time has no zone.
    """
    parts = (
        behaviour.text,
        str(behaviour.kind),
        behaviour.item,
        behaviour.catalogue,
        str(ticks(behaviour.at)),
        behaviour.source,
    )
    digest = hashlib.sha256()
    for part in parts:
        if part is None:
            digest.update(b"\xff" * 8)
        else:
            raw = _utf8(part)
            digest.update(len(raw).to_bytes(8, "big") + raw)
    return digest.digest()


def _utf8(text: str) -> bytes:
    try:
        return text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ConfigError(
            "a text holds half a character (a lone surrogate)", hint="remove it from the input"
        ) from error


def _pack(code: str, values: Sequence[int], bounds: tuple[int, int], what: str) -> bytes:
    if not values or min(values) < bounds[0] or max(values) > bounds[1]:
        raise FormatError(f"a coordinate of the {what} is out of bounds, or it has none")
    try:
        return struct.pack(f"<{len(values)}{code}", *values)
    except struct.error as error:
        raise FormatError(f"the {what} does not hold whole numbers") from error


def _unpack(code: str, blob: bytes, what: str) -> tuple[int, ...]:
    size = struct.calcsize(f"<{code}")
    if not blob or len(blob) % size:
        raise FormatError(f"a {what} can't have {len(blob)} bytes")
    return struct.unpack(f"<{len(blob) // size}{code}", blob)
