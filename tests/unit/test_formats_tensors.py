"""Codes and plain tensors: what is refused, and exact numbers by hand."""

import struct

import numpy as np
import pytest

from ondevice.errors import FormatError
from ondevice.formats import limits, tensors
from ondevice.formats.tensors import F32, Codes


def f32(*rows: object) -> F32:
    return np.array(rows, dtype=np.float32)


def raw_codes(
    rows: int, columns: int, body: bytes, *, magic: bytes = b"ODC1", version: int = 1
) -> bytes:
    return struct.pack("<4sIII", magic, version, rows, columns) + body


def raw_f32(dimensions: int, rows: int, columns: int, body: bytes) -> bytes:
    return struct.pack("<4sIII", b"ODF1", dimensions, rows, columns) + body


def test_codes_by_hand() -> None:
    codes = Codes.quantize(f32([0.6, -0.8], [0.0, 0.0], [1.0, 0.0]))

    assert codes.values.tolist() == [[95, -127], [0, 0], [127, 0]]
    assert codes.inverse_norms.tolist() == [
        np.float32(1 / np.sqrt(95**2 + 127**2)),
        0.0,
        np.float32(1 / 127),
    ]
    assert (len(codes), codes.dimension) == (3, 2)
    assert codes.unit()[1].tolist() == [0.0, 0.0]
    assert codes.rows(1, 3).values.tolist() == [[0, 0], [127, 0]]


def test_bytes_by_hand() -> None:
    norms = struct.pack("<f", 1 / np.sqrt(127**2 + 3**2))
    blob = tensors.encode(Codes.quantize(f32([1.0, -0.0236])))

    assert blob == b"ODC1" + struct.pack("<III", 1, 1, 2) + norms + b"\x7f\xfd"


def test_tiny_and_huge_rows_use_the_whole_scale() -> None:
    tiny, huge = np.float32(1e-45), np.finfo(np.float32).max
    codes = Codes.quantize(f32([tiny, -tiny], [huge, -huge]))
    assert codes.values.tolist() == [[127, -127], [127, -127]]


def test_many_rows_are_worked_on_in_blocks() -> None:
    generator = np.random.default_rng(5)
    dense = generator.normal(size=(20_000, 3)).astype(np.float32)
    codes = Codes.quantize(dense)

    for row in (0, 8191, 8192, 19_999):
        alone = Codes.quantize(dense[row : row + 1])
        assert codes.values[row].tolist() == alone.values[0].tolist()
        assert codes.inverse_norms[row] == alone.inverse_norms[0]
    back = tensors.decode(tensors.encode(codes))
    assert np.array_equal(back.values, codes.values)


def test_norms_of_the_widest_rows_are_exact() -> None:
    codes = Codes.quantize(np.ones((1, limits.DIMENSION), dtype=np.float32))
    assert codes.inverse_norms[0] == np.float32(1 / (127 * 64))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_never_coded(bad: float) -> None:
    with pytest.raises(FormatError, match="finite"):
        Codes.quantize(f32([1.0, bad]))
    with pytest.raises(FormatError, match="finite"):
        tensors.encode_f32(f32(1.0, bad))


def test_only_matrices_become_codes() -> None:
    with pytest.raises(FormatError, match="matrix"):
        Codes.quantize(f32(1.0, 2.0))
    with pytest.raises(FormatError, match="matrix"):
        Codes.quantize(np.zeros((1, limits.DIMENSION + 1), dtype=np.float32))


ONE = struct.pack("<f", 1.0)


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"", "header needs 16"),
        (b"ODC1" + bytes(11), "header needs 16"),
        (raw_codes(0, 0, b"", magic=b"ODF1"), "starts with"),
        (raw_codes(0, 0, b"", version=2), "version 2"),
        (raw_codes(1, 1, ONE), "needs 21 bytes"),
        (raw_codes(1, 1, ONE + b"\x01\x00"), "needs 21 bytes"),
        (raw_codes(1, 1, ONE + b"\x80"), "-128"),
        (raw_codes(1, 1, struct.pack("<f", 0.5) + b"\x01"), "inverse norm"),
        (raw_codes(1, 1, struct.pack("<f", -1.0) + b"\x01"), "inverse norm"),
        (raw_codes(1, 1, struct.pack("<f", np.nan) + b"\x01"), "inverse norm"),
        (raw_codes(1, 1, struct.pack("<f", np.inf) + b"\x00"), "inverse norm"),
        (raw_codes(1, 1, ONE + b"\x00"), "inverse norm"),
        (raw_codes(0xFFFFFFFF, 0xFFFFFFFF, b""), "is more than"),
        (raw_codes(0, limits.DIMENSION + 1, b""), "is more than"),
        (raw_codes(limits.TENSOR_ROWS + 1, 0, b""), "is more than"),
        (raw_codes(limits.TENSOR_ROWS, limits.DIMENSION, b""), "needs"),
    ],
)
def test_malformed_codes(blob: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        tensors.decode(blob)


def test_an_empty_matrix_is_a_matrix() -> None:
    for shape in ((0, 0), (0, 7), (3, 0)):
        codes = Codes.quantize(np.zeros(shape, dtype=np.float32))
        assert tensors.decode(tensors.encode(codes)).values.shape == shape


def test_tensors_keep_shape_and_bits() -> None:
    for array in (f32(), f32(1.5, -0.0), f32([1, 2], [3, 4]), f32([1], [2]), f32([])):
        back = tensors.decode_f32(tensors.encode_f32(array))
        assert back.shape == array.shape
        assert back.tobytes() == array.tobytes()
        assert not back.flags.writeable


@pytest.mark.parametrize(
    ("blob", "words"),
    [
        (b"ODF1", "header needs"),
        (raw_codes(1, 1, b"", magic=b"ODC1"), "starts with"),
        (raw_f32(0, 1, 1, ONE), "0 dimensions"),
        (raw_f32(3, 1, 1, ONE), "3 dimensions"),
        (raw_f32(1, 1, 2, ONE * 2), "2 columns"),
        (raw_f32(1, 2, 1, ONE), "needs 24"),
        (raw_f32(2, 1, 1, struct.pack("<f", np.inf)), "finite"),
        (raw_f32(2, 1 << 25, 1, b""), "is more than"),
    ],
)
def test_malformed_tensors(blob: bytes, words: str) -> None:
    with pytest.raises(FormatError, match=words):
        tensors.decode_f32(blob)


def test_a_tensor_has_one_or_two_dimensions() -> None:
    with pytest.raises(FormatError, match="not 3"):
        tensors.encode_f32(np.zeros((1, 1, 1), dtype=np.float32))


def test_more_bytes_than_a_shard_are_refused_first() -> None:
    with pytest.raises(FormatError, match="is more than"):
        tensors.decode_f32(raw_f32(2, 1, 1, bytes(limits.SHARD)))


def test_the_blob_is_not_copied() -> None:
    blob = bytearray(tensors.encode(Codes.quantize(f32([1.0, 0.5]))))
    assert np.shares_memory(tensors.decode(blob).values, np.frombuffer(blob, np.uint8))
