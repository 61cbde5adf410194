"""Damage: every parser refuses it with one error, or reads something; it never fails otherwise.

A small fuzzer with a fixed seed: flips, cuts, repeats, splices and extreme integers over valid
files. Whatever a parser still accepts must be a value that can be written again.
"""

import random
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from ondevice.domain import Item, Scenario
from ondevice.errors import FormatError, TrustError
from ondevice.formats import (
    canonical,
    envelope,
    invite,
    manifest,
    records,
    sealed,
    space,
    tensors,
)
from ondevice.formats.catalogue import split
from ondevice.formats.invite import Invite
from ondevice.formats.manifest import Manifest
from ondevice.formats.space import DecoderNetwork, QualityRow, Space
from ondevice.formats.tensors import Codes

ROUNDS = 3_000
KEY, PRIVATE = bytes(range(32)), X25519PrivateKey.from_private_bytes(b"\x07" * 32)
GENERATOR = np.random.default_rng(3)
DENSE = GENERATOR.normal(size=(5, 3)).astype(np.float32)
ITEMS = [
    Item(id="a", title="Alpha", tags=("x", "y"), price=1.5, date="1999", rating=4.0),
    Item(
        id="b", title="Bêta", description="two\nlines", url="https://example.org/", popularity=3.0
    ),
    Item(id="c", title="Gamma", category="letters"),
]
SPACE = Space(
    name="s",
    encoder="ab" * 32,
    centre=DENSE[0],
    projection=DENSE[:2],
    half_life=64,
    temperature=2.0,
    mean=DENSE[0, :2],
    between=DENSE[:2, :2],
    within=DENSE[:2, :2],
    decoder=DecoderNetwork(weights={"w": DENSE}),
    quality=(QualityRow(epsilon=4.0, behaviours=9, ndcg=0.5),),
)
MANIFEST = Manifest(
    catalogue="films",
    title="Films",
    scenario=Scenario.CONTENT,
    version=0,
    created="2026-01-15T12:00:00Z",
    space=SPACE.digest,
    encoder=SPACE.encoder,
    notice="n",
    licence="l",
    items=3,
    shards=tuple(part for part, _ in split(ITEMS, Codes.quantize(DENSE[:3]), DENSE[:3, 0], rows=2)),
)


def read_records(blob: bytes) -> bytes:
    return records.encode(list(records.decode(blob)))


def read_envelope(blob: bytes) -> bytes:
    key, epoch = envelope.unwrap(blob, PRIVATE, catalogue="films")
    assert (key, epoch) == (KEY, 5)
    return blob


def read_sealed(blob: bytes) -> bytes:
    sealed.open_sealed(KEY, blob, b"aad")
    assert blob == SEEDS["sealed"]
    return blob


SEEDS: dict[str, bytes] = {
    "canonical": canonical.dump({"a": [1, 2.5, None, True], "b": {"c": "é"}}),
    "sealed": sealed.seal(KEY, bytes(100), b"aad", salt=bytes(32), prefix=bytes(7)),
    "codes": tensors.encode(Codes.quantize(DENSE)),
    "tensor": tensors.encode_f32(DENSE),
    "records": records.encode(ITEMS),
    "space": space.encode(SPACE),
    "manifest": manifest.encode(MANIFEST),
    "envelope": envelope.wrap(
        KEY,
        {envelope.key_id(PRIVATE.public_key()): PRIVATE.public_key()},
        catalogue="films",
        epoch=5,
    ),
    "invite": invite.encode(
        Invite(
            url="file:///srv", catalogues=("a", "b"), root=b'{"x":"\\"y"}', group_private=bytes(32)
        )
    ),
}
# Reads a blob and writes what it found: `FormatError` for damage, and no other failure.
READERS: dict[str, Callable[[bytes], bytes]] = {
    "canonical": lambda blob: canonical.dump(canonical.load(blob, what="x", limit=1 << 20)),
    "sealed": read_sealed,
    "codes": lambda blob: tensors.encode(tensors.decode(blob)),
    "tensor": lambda blob: tensors.encode_f32(tensors.decode_f32(blob)),
    "records": read_records,
    "space": lambda blob: space.encode(space.decode(blob)),
    "manifest": lambda blob: manifest.encode(manifest.decode(blob)),
    "envelope": read_envelope,
    "invite": lambda blob: invite.encode(invite.decode(blob)),
}
# What one blob may be exchanged for where a format holds JSON or little-endian integers.
PIECES = [
    *(value.to_bytes(4, "little") for value in (0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)),
    b"\x00\x00\x80\x7f",  # infinity
    b"\x00\x00\xc0\x7f",  # NaN
    *(b'"', b"\\", b"{", b"}", b"[", b"]", b":", b",", b"null", b"true", b"NaN", b"1e999", b"-0"),
    *(b"\\ud800", b"\xed\xa0\x80", b"\xff", b"\x00", b"\n", b"9" * 5000, b"[" * 3000, b'{"a":'),
]


def mutate(blob: bytes, chance: random.Random) -> bytes:
    """Damage `blob` in one to three places."""
    data = bytearray(blob)
    for _ in range(chance.randint(1, 3)):
        at = chance.randrange(len(data) + 1)
        to = min(len(data), at + chance.randint(0, 12))
        action = chance.randrange(6)
        if action == 0 and at < len(data):
            data[at] ^= 1 << chance.randrange(8)
        elif action == 1 and at < len(data):
            data[at] = chance.randrange(256)
        elif action == 2:
            del data[at:to]
        elif action == 3:
            data[at:at] = data[at:to]
        elif action == 4:
            piece = chance.choice(PIECES)
            data[at : at + len(piece) * chance.randrange(2)] = piece
        else:
            del data[at:]
    return bytes(data)


@pytest.mark.parametrize("name", sorted(READERS))
def test_damage_is_refused_or_harmless_but_never_a_crash(name: str) -> None:
    seed, read = SEEDS[name], READERS[name]
    chance = random.Random(f"damage to {name}")
    refused = 0
    assert read(seed) == seed
    for _ in range(ROUNDS):
        damaged = mutate(seed, chance)
        try:
            again = read(damaged)
        except FormatError:
            refused += 1
        except TrustError:
            assert name == "envelope"
            refused += 1
        else:
            assert read(again) == again
    assert refused > ROUNDS // 2


@pytest.mark.parametrize("name", sorted(READERS))
def test_noise_is_refused(name: str) -> None:
    chance = random.Random(f"noise for {name}")
    for size in range(200):
        with pytest.raises(FormatError):
            READERS[name](chance.randbytes(size))


@pytest.mark.parametrize("name", sorted(READERS))
def test_every_cut_and_every_extension_is_refused(name: str) -> None:
    seed = SEEDS[name]
    cuts = [seed[:size] for size in range(len(seed))]
    if name == "invite":
        cuts.pop()  # the line end may be missing
    for damaged in (*cuts, seed + b"\x00", seed + seed, seed + b"{}"):
        with pytest.raises(FormatError):
            READERS[name](damaged)


@pytest.mark.parametrize("name", ["codes", "tensor", "records", "space"])
def test_no_flipped_bit_of_a_binary_format_is_a_crash(name: str) -> None:
    seed, survived = SEEDS[name], 0
    for place in range(8 * len(seed)):
        damaged = bytearray(seed)
        damaged[place // 8] ^= 1 << place % 8
        with suppress(FormatError):
            READERS[name](bytes(damaged))
            survived += 1
    assert survived < 8 * len(seed)
