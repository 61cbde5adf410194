"""Frozen vectors of every format (SPEC 12): bytes that must keep their meaning for ever."""

import hashlib
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ondevice.errors import FormatError, TrustError
from ondevice.formats import envelope, invite, manifest, records, sealed, space, tensors

HERE = Path(__file__).parent
FAILURES = {"format failure": FormatError, "trust failure": TrustError}
Meta = Mapping[str, str]


def sha256(blob: bytes | bytearray) -> str:
    return hashlib.sha256(blob).hexdigest()


def check_sealed(blob: bytes, meta: Meta) -> dict[str, str]:
    key, aad = bytes.fromhex(meta["key"]), bytes.fromhex(meta["aad"])
    if "size" not in meta:
        return {"sha256": sha256(sealed.open_sealed(key, blob, aad))}
    size = int(meta["size"])
    plain = (bytes(range(251)) * (size // 251 + 1))[:size]
    salt, prefix = bytes.fromhex(meta["salt"]), bytes.fromhex(meta["prefix"])
    made = sealed.seal(key, plain, aad, salt=salt, prefix=prefix)
    assert sealed.open_sealed(key, made, aad) == plain
    return {"sha256": sha256(made)}


def check_codes(blob: bytes, meta: Meta) -> dict[str, str]:
    codes = tensors.decode(blob)
    assert tensors.encode(codes) == blob
    return {"sha256": sha256(codes.unit().astype("<f4").tobytes())}


def check_tensor(blob: bytes, meta: Meta) -> dict[str, str]:
    array = tensors.decode_f32(blob)
    assert tensors.encode_f32(array) == blob
    shape = " ".join(map(str, array.shape))
    return {"shape": shape, "sha256": sha256(array.astype("<f4").tobytes())}


def check_records(blob: bytes, meta: Meta) -> dict[str, str]:
    items = list(records.decode(blob))
    assert records.encode(items) == blob
    lines = [f"{item.id}={records.row_bytes(item).decode()}\n" for item in items]
    return {"ids": str(len(items)), "sha256": sha256("".join(lines).encode())}


def check_space(blob: bytes, meta: Meta) -> dict[str, str]:
    found = space.decode(blob)
    assert space.encode(found) == blob
    return {"digest": found.digest}


def check_manifest(blob: bytes, meta: Meta) -> dict[str, str]:
    found = manifest.decode(blob)
    assert manifest.encode(found) == blob
    digests = "\n".join(entry.digest for entry in found.shards)
    return {"items": str(found.items), "digests": sha256(digests.encode())}


def check_envelope(blob: bytes, meta: Meta) -> dict[str, str]:
    private = X25519PrivateKey.from_private_bytes(bytes.fromhex(meta["private"]))
    key, epoch = envelope.unwrap(blob, private, catalogue=meta["catalogue"])
    return {"key": key.hex(), "epoch": str(epoch)}


def check_invite(blob: bytes, meta: Meta) -> dict[str, str]:
    found = invite.decode(blob)
    assert invite.encode(found) == blob.rstrip() + b"\n"
    return {"url": found.url, "sha256": sha256(found.root)}


CHECKS: dict[str, Callable[[bytes, Meta], dict[str, str]]] = {
    "sealed": check_sealed,
    "codes": check_codes,
    "tensor": check_tensor,
    "records": check_records,
    "space": check_space,
    "manifest": check_manifest,
    "envelope": check_envelope,
    "invite": check_invite,
}
FILES = sorted(path for name in CHECKS for path in (HERE / name).glob("*.txt"))


@pytest.mark.parametrize("name", sorted(CHECKS))
def test_the_vectors_were_found(name: str) -> None:
    heads = [path.read_text(encoding="ascii") for path in FILES if path.parent.name == name]
    assert sum(head.startswith("expect: success\n") for head in heads) >= 2
    assert sum(not head.startswith("expect: success\n") for head in heads) >= 8


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_vector(path: Path) -> None:
    head, _, body = path.read_text(encoding="ascii").partition("\n\n")
    meta = dict(line.split(": ", 1) for line in head.splitlines())
    blob, check = bytes.fromhex(body), CHECKS[path.parent.name]

    if meta["expect"] == "success":
        found = check(blob, meta)
        assert found == {name: meta[name] for name in found}
    else:
        with pytest.raises(FAILURES[meta["expect"]]):
            check(blob, meta)
