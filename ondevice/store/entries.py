"""One entry of the ledger: its bytes, its place in the chain, its MAC, and what it says.

body   = canonical JSON
digest = SHA-256("ondevice ledger 1" | seq as 8 bytes | digest of the entry before | body)
mac    = HMAC-SHA256(ledger key, "ondevice ledger 1" | digest)
"""

import hashlib
import hmac
import re
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import TYPE_CHECKING

import ondevice
from ondevice.errors import ConfigError, FormatError, IntegrityError, RollbackError
from ondevice.formats import canonical
from ondevice.store import packing
from ondevice.store.keybox import NO_HEAD, Keybox

if TYPE_CHECKING:
    from ondevice.formats.fields import Fields
    from ondevice.privacy.cadence import Clock
    from ondevice.privacy.stream import StreamParameters

UNITS = ("behaviour", "day")
SPACE = re.compile(r"[0-9a-f]{64}")
BODY_LIMIT = 1 << 16
BACKUP = "put store.db, keybox and device.key back from one backup"
_OLDER = f"the store is older than its keybox: {BACKUP}, the newest you have"
_CHAIN = b"ondevice ledger 1"
_KEYS = ("at", "code", "counter", "entry", "mechanism", "parameters", "space", "unit")


@dataclass(frozen=True, slots=True, kw_only=True)
class Stream:
    """A paid stream. Only the ledger makes one, so whoever holds it may release rows."""

    id: int  # the number of its ledger entry
    space: str  # digest of the space
    unit: str  # "behaviour" or "day"
    parameters: "StreamParameters"
    opened: datetime
    code: str  # version that opened it
    clock: "Clock | None" = None  # when its rows are due; None: one at every behaviour


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The newest entry of a ledger; before the first one, zeros."""

    seq: int = 0
    digest: bytes = NO_HEAD
    counter: int = 0


def write(
    *,
    space: str,
    unit: str,
    parameters: "StreamParameters",
    counter: int,
    at: datetime,
    clock: "Clock | None" = None,
) -> bytes:
    """Return the body of the entry that opens a stream."""
    return canonical.dump(
        ({} if clock is None else {"clock": asdict(clock)})
        | {
            "at": packing.ticks(at),
            "code": ondevice.__version__,
            "counter": counter,
            "entry": "stream",
            "mechanism": parameters.digest,
            "parameters": asdict(parameters),
            "space": space,
            "unit": unit,
        }
    )


@lru_cache(maxsize=1024)
def read(seq: int, body: bytes) -> Stream:
    """Return the stream that `body` opens; checking its claim costs 3 ms, so only once.

    Raises:
        FormatError: it is not what `write` writes.
    """
    from ondevice.formats.fields import HEX_DIGEST, Fields
    from ondevice.privacy.stream import StreamParameters

    what = f"ledger entry {seq}"
    fields = Fields(
        canonical.load(body, what=what, limit=BODY_LIMIT),
        what=what,
        required=_KEYS,
        optional=("clock",),
    )
    fields.constant("entry", "stream")
    given = dict(fields.mapping("parameters", high=32))
    coefficients = given.pop("coefficients", None)
    if not isinstance(coefficients, list):
        raise FormatError(f"{what}: the coefficients are missing")
    try:
        parameters = StreamParameters(coefficients=tuple(coefficients), **given)  # type: ignore[arg-type]  # checked there
    except (TypeError, ValueError, ConfigError) as error:
        raise FormatError(f"{what}: the parameters don't hold: {error}") from error
    if parameters.digest != fields.matching("mechanism", HEX_DIGEST):
        raise FormatError(f"{what}: the parameters don't have the digest it names")
    unit = fields.text("unit", high=16)
    if unit not in UNITS:
        raise FormatError(f"{what}: {unit!r} is not a unit of privacy")
    return Stream(
        id=seq,
        space=fields.matching("space", HEX_DIGEST),
        unit=unit,
        parameters=parameters,
        opened=packing.moment(fields.integer("at", low=0, high=1 << 56)),
        code=fields.text("code", high=64),
        clock=_clock(fields, what) if "clock" in fields else None,
    )


def _clock(fields: "Fields", what: str) -> "Clock":
    from ondevice.privacy.cadence import Clock

    given = fields.mapping("clock", high=3)
    if sorted(given) != ["offset", "period", "start"] or not all(
        type(value) is int for value in given.values()
    ):
        raise FormatError(f"{what}: a clock has a start, a period and an offset")
    try:
        return Clock(**given)  # type: ignore[arg-type]  # checked above
    except ConfigError as error:
        raise FormatError(f"{what}: {error}") from error


def counter_of(seq: int, body: bytes) -> int:
    """Return the counter of the keybox when `body` was written."""
    counter = canonical.load(body, what=f"ledger entry {seq}", limit=BODY_LIMIT).get("counter")
    if not isinstance(counter, int):
        raise FormatError(f"ledger entry {seq} names no counter")
    return counter


def chain(seq: int, previous: bytes, body: bytes) -> bytes:
    """Return the digest of entry `seq`."""
    return hashlib.sha256(_CHAIN + seq.to_bytes(8, "big") + previous + body).digest()


def mac(key: bytes, digest: bytes) -> bytes:
    """Return the MAC over `digest`, and through the chain over everything before it."""
    return hmac.digest(key, _CHAIN + digest, "sha256")


def require_mac(key: bytes, *, seq: int, digest: bytes, given: bytes) -> None:
    """Refuse an entry that this home did not write.

    Raises:
        IntegrityError: the MAC does not fit.
    """
    if not hmac.compare_digest(mac(key, digest), given):
        raise IntegrityError(f"ledger entry {seq} was not written by this device", hint=BACKUP)


def require_rows(offered: int, accepted: int) -> None:
    """Refuse a store with fewer rows in a stream than it had.

    Raises:
        RollbackError: it is older.
    """
    if offered < accepted:
        raise RollbackError("the store's row", offered=offered, accepted=accepted, hint=_OLDER)


def require_fit(head: Head, box: Keybox) -> None:
    """Refuse a store that is not the one its keybox remembers.

    Raises:
        RollbackError: the store is older.
        IntegrityError: the keybox is older, or they don't belong together.
    """
    if head.digest in (box.head, box.pending):
        return
    if head.counter < box.counter:
        raise RollbackError(
            "the store's ledger entry",
            offered=head.counter,
            accepted=box.counter,
            hint=_OLDER,
        )
    older = "is older than" if head.counter > box.counter else "does not belong to"
    raise IntegrityError(f"the keybox {older} its store", hint=f"{BACKUP}, the newest you have")


TOTAL = "ondevice-total/1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """What is left of a ledger that was erased: what the unit that paid most had been charged."""

    rho: float
    delta: float
    unit: str


def seal_total(key: bytes, total: Total) -> bytes:
    """Return `total` with its MAC: no times, no counts."""
    body = canonical.dump({"format": TOTAL, **asdict(total)})
    return canonical.dump({"total": body.decode("ascii"), "mac": _total_mac(key, body).hex()})


def open_total(key: bytes, blob: bytes) -> Total:
    """Read what `seal_total` wrote.

    Raises:
        FormatError: it is malformed.
        IntegrityError: it was not written under this key.
    """
    from ondevice.formats.fields import HEX_DIGEST, Fields

    outer = Fields(
        canonical.load(blob, what="total", limit=BODY_LIMIT),
        what="total",
        required=("mac", "total"),
    )
    body = outer.text("total", high=1024).encode()
    given = bytes.fromhex(outer.matching("mac", HEX_DIGEST))
    if not hmac.compare_digest(_total_mac(key, body), given):
        raise IntegrityError("the total was not written by this device", hint=BACKUP)
    fields = Fields(
        canonical.load(body, what="total", limit=BODY_LIMIT),
        what="total",
        required=("format", "rho", "delta", "unit"),
    )
    fields.constant("format", TOTAL)
    return Total(
        rho=fields.number("rho", low=0.0, high=1e6),
        delta=fields.number("delta", low=0.0, high=1.0),
        unit=fields.text("unit", high=16),
    )


def _total_mac(key: bytes, body: bytes) -> bytes:
    return hmac.digest(key, b"ondevice total 1" + body, "sha256")
