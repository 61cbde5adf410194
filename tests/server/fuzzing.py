"""One parser under a coverage-guided fuzzer: `python -m tests.server.fuzzing NAME RUNS CORPUS`.

The fuzzer ends the process itself, so each parser has a process of its own. A parser may refuse
with an error of the tree in `ondevice.errors`; any other exception is a crash, and libFuzzer says
so and exits with 77.
"""

import io
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import atheris

with atheris.instrument_imports(include=["ondevice"]):
    from ondevice.errors import OnDeviceError
    from ondevice.formats import canonical, envelope, invite, manifest, records, sealed, tensors
    from ondevice.formats import space as spaces
    from ondevice.importers import reader
    from ondevice.privacy import decoder
    from ondevice.privacy.stream import StreamParameters
    from ondevice.store import keybox
    from ondevice.store.seal import Seal
    from ondevice.updates import trust

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

VECTORS = Path(__file__).resolve().parents[1] / "vectors"
NOW = datetime(2026, 1, 15, tzinfo=UTC)
KEY = bytes(range(32))
PRIVATE = X25519PrivateKey.from_private_bytes(b"\x07" * 32)
STREAM = StreamParameters.for_budget(4.0, 1e-6, 2, half_life=2)


def _importer(blob: bytes) -> None:
    for found in reader("jsonl")(io.BytesIO(blob), now=NOW):
        assert found is not None


def _canonical(blob: bytes) -> None:
    table = canonical.load(blob, what="the file", limit=1 << 16)
    assert canonical.dump(table) == blob  # one value, one spelling


def _records(blob: bytes) -> None:
    items = list(records.decode(blob))
    assert list(records.decode(records.encode(items))) == items


PARSERS: Mapping[str, Callable[[bytes], object]] = {
    "canonical": _canonical,
    "codes": tensors.decode,
    "envelope": lambda blob: envelope.unwrap(blob, PRIVATE, catalogue="films"),
    "importer": _importer,
    "invite": invite.decode,
    "keybox": lambda blob: keybox.decode(blob, under=Seal(pepper=KEY)),
    "manifest": manifest.decode,
    "records": _records,
    "sealed": lambda blob: sealed.open_sealed(KEY, blob, b""),
    "space": spaces.decode,
    "state": lambda blob: decoder.StreamState.from_bytes(STREAM, blob),
    "tensor": tensors.decode_f32,
    "root": lambda blob: trust.start(blob, now=NOW),
    "trust": trust.decode,
}


def seeds(name: str) -> list[bytes]:
    """What a parser starts from: the frozen vectors of its format, else two small files."""
    found = []
    for path in sorted((VECTORS / name).glob("*.txt")):
        _, _, body = path.read_text(encoding="ascii").partition("\n\n")
        found.append(bytes.fromhex(body))
    if name == "sealed":
        found.append(sealed.seal(KEY, b"plain", b"", salt=bytes(32), prefix=bytes(7)))
    if name == "state":
        found.append(decoder.StreamState.start(STREAM).to_bytes(STREAM))
    if name == "importer":
        found += [b'{"text":"a film","kind":"like","at":"2026-01-01T10:00:00Z"}\n', b"[]"]
    return [*found, b"", b"{}"]


def main() -> None:
    """Fuzz the parser named on the command line."""
    name, runs, corpus = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    parse = PARSERS[name]
    for number, seed in enumerate(seeds(name)):
        (corpus / str(number)).write_bytes(seed)

    def one(blob: bytes) -> None:
        with suppress(OnDeviceError):
            parse(blob)

    keep = f"-artifact_prefix={corpus}/"  # what crashed it
    options = [keep, f"-runs={runs}", "-seed=7", "-max_len=4096", "-print_final_stats=1"]
    atheris.Setup([sys.argv[0], *options, str(corpus)], one)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
