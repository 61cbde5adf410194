"""Matrices as bytes: int8 codes with exact norms (SPEC 4), and plain float32 (SPEC 5)."""

import struct
from dataclasses import dataclass
from typing import TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from ondevice.errors import FormatError
from ondevice.formats import limits
from ondevice.formats.fields import UPGRADE

F32: TypeAlias = NDArray[np.float32]
I8: TypeAlias = NDArray[np.int8]
Blob: TypeAlias = bytes | bytearray | memoryview
_Scalar = TypeVar("_Scalar", bound=np.generic)

CODES_MAGIC = b"ODC1"
F32_MAGIC = b"ODF1"
_HEAD = struct.Struct("<4sIII")
_BLOCK = 1 << 13  # rows that one pass widens, so that a large matrix is never copied whole


@dataclass(frozen=True, slots=True, eq=False)
class Codes:
    """`values[i] * inverse_norms[i]` is a unit row; its products are exact cosines of the codes."""

    values: I8  # (n, d), -127 to 127
    inverse_norms: F32  # (n,), 1 / length of the row of codes, 0 for a row of zeros

    @classmethod
    def quantize(cls, dense: F32) -> "Codes":
        """Round each row of `dense` (n, d) to 127 steps of its largest magnitude (SPEC 4.4).

        Cell (i, j) is `values[i, j] * max(abs(dense[i])) / 127` to within half a step.

        Raises:
            FormatError: not a matrix, too wide, or not finite.
        """
        if dense.ndim != 2 or dense.shape[1] > limits.DIMENSION:
            raise FormatError(f"codes come from a matrix, at most {limits.DIMENSION} wide")
        if not np.isfinite(dense).all():
            raise FormatError("a vector holds a number that is not finite")
        values = np.empty(dense.shape, dtype=np.int8)
        for at in range(0, len(dense), _BLOCK):
            # float64: 127 / the smallest float32 would overflow in float32.
            block = dense[at : at + _BLOCK].astype(np.float64)
            peak = np.abs(block).max(axis=1, initial=0.0, keepdims=True)
            scale = np.divide(127.0, peak, out=np.zeros_like(peak), where=peak > 0)
            np.rint(block * scale, out=block)
            values[at : at + _BLOCK] = block
        return cls(values, _inverse_norms(values))

    @property
    def dimension(self) -> int:
        """Columns."""
        return int(self.values.shape[1])

    def __len__(self) -> int:
        return len(self.values)

    def unit(self) -> F32:
        """Return the rows as float32 (n, d) of length 1; a row of zeros stays zero."""
        return self.values.astype(np.float32) * self.inverse_norms[:, None]

    def rows(self, start: int, stop: int) -> "Codes":
        """Return rows `start` to `stop` as views."""
        return Codes(self.values[start:stop], self.inverse_norms[start:stop])


def encode(codes: Codes) -> bytes:
    """Write `codes` (SPEC 4.1).

    Raises:
        FormatError: `decode` would refuse it.
    """
    rows, columns = codes.values.shape
    head = _HEAD.pack(CODES_MAGIC, 1, rows, columns)
    blob = head + codes.inverse_norms.astype("<f4").tobytes() + codes.values.tobytes()
    decode(blob)
    return blob


def decode(blob: Blob) -> Codes:
    """Read codes; the arrays are read-only views of `blob`.

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    version, rows, columns = _head(blob, CODES_MAGIC, "codes")
    _check_size(blob, rows, columns, 4 * rows + rows * columns, "codes")
    if version != 1:
        raise FormatError(f"codes of version {version} are not known here", hint=UPGRADE)
    norms = np.frombuffer(blob, "<f4", rows, _HEAD.size)
    values = np.frombuffer(blob, np.int8, rows * columns, _HEAD.size + 4 * rows)
    values = values.reshape(rows, columns)
    if values.size and values.min() == -128:
        raise FormatError("codes hold the value -128")
    if not np.array_equal(norms, _inverse_norms(values)):  # NaN is equal to nothing
        raise FormatError("an inverse norm is not the one of its row")
    return Codes(_frozen(values), _frozen(norms.astype(np.float32, copy=False)))


def encode_f32(array: F32) -> bytes:
    """Write an array of one or two dimensions (SPEC 5.1).

    Raises:
        FormatError: `decode_f32` would refuse it.
    """
    if array.ndim not in {1, 2}:
        raise FormatError(f"a tensor has 1 or 2 dimensions, not {array.ndim}")
    rows, columns = array.shape if array.ndim == 2 else (len(array), 1)
    head = _HEAD.pack(F32_MAGIC, array.ndim, rows, columns)
    blob = head + array.astype("<f4").tobytes()
    decode_f32(blob)
    return blob


def decode_f32(blob: Blob) -> F32:
    """Read an array of shape (n,) or (n, d); a read-only view of `blob`.

    Raises:
        FormatError: for every malformed input, and no other exception type.
    """
    dimensions, rows, columns = _head(blob, F32_MAGIC, "tensor")
    _check_size(blob, rows, columns, 4 * rows * columns, "tensor")
    if dimensions not in {1, 2} or (dimensions == 1 and columns != 1):
        raise FormatError(f"a tensor of {dimensions} dimensions and {columns} columns is not known")
    array = np.frombuffer(blob, "<f4", rows * columns, _HEAD.size)
    if not np.isfinite(array).all():
        raise FormatError("the tensor holds a number that is not finite")
    shaped = array.reshape((rows,) if dimensions == 1 else (rows, columns))
    return _frozen(shaped.astype(np.float32, copy=False))


def _head(blob: Blob, expected: bytes, what: str) -> tuple[int, int, int]:
    if len(blob) < _HEAD.size:
        raise FormatError(f"{what}: the header needs {_HEAD.size} bytes, got {len(blob)}")
    magic, first, rows, columns = _HEAD.unpack_from(blob)
    if magic != expected:
        raise FormatError(f"{what}: starts with {magic!r}, not {expected!r}")
    return first, rows, columns


def _check_size(blob: Blob, rows: int, columns: int, body: int, what: str) -> None:
    if rows > limits.TENSOR_ROWS or columns > limits.DIMENSION or len(blob) > limits.SHARD:
        raise FormatError(
            f"{what}: {rows} x {columns} in {len(blob)} bytes is more than {limits.TENSOR_ROWS} x "
            f"{limits.DIMENSION} in {limits.SHARD}"
        )
    if len(blob) != _HEAD.size + body:
        raise FormatError(
            f"{what}: {rows} x {columns} needs {_HEAD.size + body} bytes, got {len(blob)}"
        )


def _inverse_norms(values: I8) -> F32:
    """Return float32(1 / sqrt(sum of squares)) of each row: exact sum, float64 root (SPEC 4.3)."""
    out = np.zeros(len(values), dtype=np.float32)
    for at in range(0, len(values), _BLOCK):
        block = values[at : at + _BLOCK].astype(np.float32)
        # Partial sums above 2**24 would round in float32: 1,024 columns of 127**2 stay below.
        squares = np.zeros(len(block), dtype=np.float64)
        for column in range(0, block.shape[1], 1024):
            part = block[:, column : column + 1024]
            squares += np.einsum("ij,ij->i", part, part)
        np.divide(1.0, np.sqrt(squares), out=squares, where=squares > 0)
        out[at : at + _BLOCK] = squares
    return out


def _frozen(array: NDArray[_Scalar]) -> NDArray[_Scalar]:
    array.flags.writeable = False
    return array
