"""From released rows to a decayed sum of behaviours. Post-processing: it can't cost privacy.

w_t = (y_t - sum_{1<=k<K} c^_k w_(t-k)) / c^_0 and v_t = beta v_(t-1) + w_t, in float64 from
the exact integers. What v_t holds is sum_k beta^k x_(t-k), not truncated to the band, plus
noise of a variance that is known exactly. The recursion forgets rounding errors: the zeros of
C^ lie outside the unit circle ([P7] in PROOF.md).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import FormatError, IntegrityError
from ondevice.privacy.stream import StreamParameters

F64 = NDArray[np.float64]

_MAGIC = b"ODSTATE1"
_HEAD = struct.Struct("<8s32sQ")  # magic, digest of the parameters, steps
_TAIL_HALF_LIVES = 45  # beyond, the noise series has fallen below 2^-45 of its start


@dataclass(frozen=True, slots=True, kw_only=True)
class StreamState:
    """What decoding needs to remember. A function of the released rows alone."""

    band: F64  # (K-1, d): w_t, w_(t-1), ..., in grid units; zeros before the first step
    v: F64  # (d,) in grid units
    steps: int

    @classmethod
    def start(cls, parameters: StreamParameters) -> "StreamState":
        """Return the state before the first row."""
        d = parameters.dimension
        return cls(band=np.zeros((parameters.band - 1, d)), v=np.zeros(d), steps=0)

    def to_bytes(self, parameters: StreamParameters) -> bytes:
        """Return this state, bound to `parameters`."""
        head = _HEAD.pack(_MAGIC, bytes.fromhex(parameters.digest), self.steps)
        return head + self.band.astype("<f8").tobytes() + self.v.astype("<f8").tobytes()

    @classmethod
    def from_bytes(cls, parameters: StreamParameters, blob: bytes) -> "StreamState":
        """Parse what `to_bytes` made.

        Raises:
            FormatError: for every malformed input, and for another stream's state.
        """
        k, d = parameters.band, parameters.dimension
        if len(blob) != _HEAD.size + 8 * k * d:
            raise FormatError(f"a stream state of {k} x {d} can't have {len(blob)} bytes")
        magic, digest, steps = _HEAD.unpack_from(blob)
        if magic != _MAGIC or digest != bytes.fromhex(parameters.digest):
            raise FormatError("not the state of this stream")
        values = np.frombuffer(blob, "<f8", offset=_HEAD.size).astype(np.float64).reshape(k, d)
        if not np.isfinite(values).all():
            raise FormatError("a stream state holds a number that is not finite")
        return cls(band=values[:-1], v=values[-1], steps=steps)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoded:
    """What the released rows say, and how much of it is noise.

    `v` is the sum over behaviours of beta^age times their step, plus noise.
    """

    v: F64  # (d,) in space units
    steps: int
    beta: float  # what a step loses per later step
    noise_variance: float  # per coordinate of v, in squared space units; depends on `steps`
    weight_sum: float  # sum of beta^k, k < steps
    weight_square_sum: float  # sum of beta^(2k), k < steps


def advance(
    parameters: StreamParameters, state: StreamState, y: Sequence[int] | F64
) -> StreamState:
    """Return the state after row `y`, d numbers.

    Raises:
        IntegrityError: `y` has another dimension than the stream.
    """
    released = np.asarray(y, dtype=np.float64)
    if released.shape != (parameters.dimension,):
        raise IntegrityError(
            f"a row has shape {released.shape}, its stream {parameters.dimension} coordinates"
        )
    c = _float_coefficients(parameters.coefficients)
    w = (released - c[1:] @ state.band) / c[0]
    band = np.concatenate([w[None], state.band])[: parameters.band - 1]
    return StreamState(band=band, v=beta_of(parameters) * state.v + w, steps=state.steps + 1)


def read_out(parameters: StreamParameters, state: StreamState) -> Decoded:
    """Return what `state` says, in space units."""
    steps, beta = state.steps, beta_of(parameters)
    return Decoded(
        v=state.v / parameters.grid,
        steps=steps,
        beta=beta,
        noise_variance=noise_variance(parameters, steps),
        weight_sum=(1 - beta**steps) / (1 - beta),
        weight_square_sum=(1 - beta ** (2 * steps)) / (1 - beta * beta),
    )


def decode(parameters: StreamParameters, rows: Iterable[Sequence[int]]) -> Decoded:
    """Decode all rows of a stream, oldest first."""
    state = StreamState.start(parameters)
    for y in rows:
        state = advance(parameters, state, y)
    return read_out(parameters, state)


def beta_of(parameters: StreamParameters) -> float:
    """Return 2^(-1/half-life)."""
    return float(2.0 ** (-1.0 / parameters.half_life))


def noise_variance(parameters: StreamParameters, steps: int) -> float:
    """Return the variance of the noise in v after `steps` rows, in squared space units.

    It is sigma^2 sum_{k<steps} b_k^2, with b the coefficients of A/C^ [P11].
    """
    if steps == 0:
        return 0.0
    enough = 1 << (steps - 1).bit_length()  # a young stream needs, and computes, few terms
    series = noise_series(parameters.coefficients, parameters.half_life, enough)
    energy = float((series[:steps] ** 2).sum())
    return parameters.sigma2 * energy / parameters.grid**2


@lru_cache(maxsize=16)
def noise_series(coefficients: tuple[int, ...], half_life: int, terms: int = 1 << 62) -> F64:
    """Return b_0, b_1, ...: what one unit of noise adds to v at once, one step later, ...

    Read-only. The first `terms`, and at most 45 half-lives: there it has fallen below 2^-45.
    """
    c = _float_coefficients(coefficients)
    beta = 2.0 ** (-1.0 / half_life)
    length = min(terms, _TAIL_HALF_LIVES * half_life + 1)
    padded = np.zeros(length + len(c) - 1)  # 1/C^, after len(c)-1 zeros
    series = np.zeros(length)
    last = 0.0
    newest_last = c[:0:-1]
    for k in range(length):
        at = k + len(c) - 1
        padded[at] = ((k == 0) - newest_last @ padded[k:at]) / c[0]
        last = series[k] = beta * last + padded[at]
    series.setflags(write=False)
    return series


@lru_cache(maxsize=16)
def _float_coefficients(coefficients: tuple[int, ...]) -> F64:
    """Return the integers as float64 (exact: they are below 2^53)."""
    values = np.array(coefficients, dtype=np.float64)
    values.setflags(write=False)
    return values
