"""Build a large invented catalogue in a process of its own and say what it took.

`python -m tests.server.scaling SOURCE OUT`: one line of JSON, with peak memory in MiB. The vectors
are drawn from digests: what is measured is everything around the encoder.
"""

import hashlib
import json
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ondevice.domain import Scenario
from ondevice.formats.tensors import F32
from server_tools import sources
from server_tools.embed import local
from tests.publishing import WIDTH, WordEncoder, small_space

DETAILS = local.Details(catalogue="large", scenario=Scenario.ECOMMERCE, title="Many things")
NOUNS = ("lamp", "kettle", "novel", "radio", "fund", "choir", "bench", "violin")


class DigestEncoder(WordEncoder):
    """Vectors that cost next to nothing."""

    def encode(self, texts: Sequence[str]) -> F32:
        raw = b"".join(hashlib.blake2b(text.encode(), digest_size=WIDTH).digest() for text in texts)
        dense = np.frombuffer(raw, np.int8).reshape(len(texts), WIDTH).astype(np.float32) + 0.5
        return np.asarray(dense / np.linalg.norm(dense, axis=1, keepdims=True), dtype=np.float32)


def write(path: Path, count: int, *, changed: int | None = None) -> Path:
    """Write a source of `count` items; `changed` gets another title."""
    with path.open("w", encoding="utf-8") as file:
        for i in range(count):
            row = {
                "id": f"item:{i}",
                "title": f"{NOUNS[i % 8]} number {i}" + (" (new)" if i == changed else ""),
                "description": f"A {NOUNS[i * 7 % 8]} for the {i}th room of the house.",
                "category": NOUNS[i % 8],
                "popularity": i % 1000,
            }
            file.write(json.dumps(row) + "\n")
    return path


def peak() -> float:
    """Largest memory of this program so far, MiB; `getrusage` would count who started it too."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) / 1024


def main() -> None:
    """Build and report."""
    source, out = sys.argv[1], Path(sys.argv[2])
    started = time.process_time()
    built = local.build(
        sources.Source(source),
        encoder=DigestEncoder(),
        into=small_space(),
        details=DETAILS,
        out=out,
    )
    report = {
        "items": built.items,
        "shards": len(built.shards),
        "bytes": sum(entry.size for entry in built.shards),
        "cpu_s": round(time.process_time() - started, 2),
        "peak_mib": peak(),
    }
    sys.stdout.write(json.dumps(report) + "\n")


if __name__ == "__main__":
    main()
