"""Sealed files held against Tink itself, in both directions, at every size that could go wrong."""

import io
import secrets
from typing import Any

import pytest

tink = pytest.importorskip("tink", reason="the reference implementation is not installed")
streaming_aead = pytest.importorskip("tink.streaming_aead")

from tink import cleartext_keyset_handle, tink_config  # noqa: E402
from tink.proto import aes_gcm_hkdf_streaming_pb2, common_pb2, tink_pb2  # noqa: E402

from ondevice.formats import sealed  # noqa: E402

FIRST = sealed.SEGMENT - sealed.TAG - sealed.HEADER
NEXT = sealed.SEGMENT - sealed.TAG
SIZES = [0, 1, 100, FIRST - 1, FIRST, FIRST + 1, FIRST + NEXT, FIRST + NEXT + 1, 5 * NEXT + 3]
AAD = sealed.shard_aad("films", "codes-00000")


def reference(key: bytes) -> Any:
    """Tink's own primitive for a key of ours."""
    tink_config.register()
    parameters = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingParams(
        ciphertext_segment_size=sealed.SEGMENT,
        derived_key_size=sealed.KEY,
        hkdf_hash_type=common_pb2.SHA256,
    )
    value = aes_gcm_hkdf_streaming_pb2.AesGcmHkdfStreamingKey(params=parameters, key_value=key)
    data = tink_pb2.KeyData(
        type_url="type.googleapis.com/google.crypto.tink.AesGcmHkdfStreamingKey",
        value=value.SerializeToString(),
        key_material_type=tink_pb2.KeyData.SYMMETRIC,
    )
    entry = tink_pb2.Keyset.Key(
        key_data=data, status=tink_pb2.ENABLED, key_id=1, output_prefix_type=tink_pb2.RAW
    )
    keyset = tink_pb2.Keyset(primary_key_id=1, key=[entry])
    handle = cleartext_keyset_handle.from_keyset(keyset)
    return handle.primitive(streaming_aead.StreamingAead)


class Kept(io.BytesIO):
    """A file in memory whose content outlives its closing."""

    def close(self) -> None:
        self.content = self.getvalue()
        super().close()


@pytest.mark.parametrize("size", SIZES)
def test_tink_reads_what_we_sealed(size: int) -> None:
    key, plain = secrets.token_bytes(32), secrets.token_bytes(size)
    blob = sealed.seal(key, plain, AAD, salt=secrets.token_bytes(32), prefix=secrets.token_bytes(7))
    with reference(key).new_decrypting_stream(io.BytesIO(blob), AAD) as stream:
        assert stream.read() == plain


@pytest.mark.parametrize("size", SIZES)
def test_we_read_what_tink_sealed(size: int) -> None:
    key, plain, out = secrets.token_bytes(32), secrets.token_bytes(size), Kept()
    with reference(key).new_encrypting_stream(out, AAD) as stream:
        stream.write(plain)
    assert sealed.open_sealed(key, out.content, AAD, threads=2) == plain


@pytest.mark.parametrize("size", [0, 100, FIRST + 1])
def test_both_refuse_the_same_damage(size: int) -> None:
    key = secrets.token_bytes(32)
    blob = sealed.seal(key, bytes(size), AAD, salt=bytes(32), prefix=bytes(7))
    damaged = [blob[:-1], blob + b"\0", b"\x29" + blob[1:], blob[:1] + b"\1" + blob[2:]]
    damaged += [blob[:40], blob[:-16], blob[: 40 + 17]] if size != 1 else []
    for one in damaged:
        if one == blob:
            continue
        with pytest.raises(Exception) as ours:  # noqa: PT011  # compared with the other's
            sealed.open_sealed(key, one, AAD)
        assert type(ours.value).__name__ == "FormatError"
        with (
            pytest.raises((tink.TinkError, ValueError, EOFError, OSError)),
            reference(key).new_decrypting_stream(io.BytesIO(one), AAD) as stream,
        ):
            stream.read()
