"""What a publisher's size costs, measured: `make bench-scale` writes the page in the docs.

Every part is a function that returns its figures, so that tests run smaller ones of the same.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from ondevice.encoder.session import Encoder
from ondevice.formats import sealed
from ondevice.formats.manifest import Manifest
from ondevice.paths import bundled
from server_tools.embed import local
from server_tools.publish.repository import sealed_size
from server_tools.sources import jsonl
from tests.bench.topics import Told, told
from tests.server.scaling import write

ROOT = Path(__file__).resolve().parents[2]
COUNTS = (10_000, 100_000, 1_000_000)
HUNDRED_MILLION = 100_000_000
CORES = 16  # of a machine in the cost model
DIMENSION = 48  # of the base space
CODE = DIMENSION + 4 + 4  # bytes of an item's code, inverse norm and bias
TEXTS = 400


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What a build of so many items took, the encoder apart."""

    items: int
    shards: int
    bytes: int
    cpu_s: float
    peak_mib: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Delta:
    """What one changed text makes every device fetch."""

    total: int  # bytes of all sealed shards
    fetched: int
    largest: int  # of the shards


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """Decrypting one shard beside copying as many bytes; CPU time, best of several."""

    fresh: float  # into new memory, times a copy into new memory
    kept: float  # segment by segment into memory that is there, times such a copy


def grown(source: Path, out: Path) -> Grown:
    """Build `source` in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.server.scaling", str(source), str(out)],
        capture_output=True,
        text=True,
        check=True,
        cwd=ROOT,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
    )
    return Grown(**json.loads(done.stdout))


def delta(before: Manifest, after: Manifest) -> Delta:
    """Compare two builds: a shard that is the same bytes is never fetched again."""
    old = {(entry.name, entry.digest) for entry in before.shards}
    new = [entry for entry in after.shards if (entry.name, entry.digest) not in old]
    sizes = [sealed_size(entry.size) for entry in after.shards]
    return Delta(
        total=sum(sizes),
        fetched=sum(sealed_size(entry.size) for entry in new),
        largest=max(sizes),
    )


def opened(size: int = 48 << 20, rounds: int = 9) -> Opened:
    """Measure how fast a sealed shard opens; alternating, so that both meet the same noise."""
    plain, key = bytes(size), bytes(range(32))
    blob = sealed.seal(key, plain, b"", salt=bytes(32), prefix=bytes(7))
    cipher = sealed._cipher(key, bytes(32), b"")
    room, source, target = bytearray(size), memoryview(blob), bytearray(size)
    count = sealed._segments(len(blob), sealed.SEGMENT)

    def into() -> None:
        view = memoryview(room)
        for index in range(count):
            start, stop = sealed._span(index, size, sealed.SEGMENT - sealed.TAG)
            at = start + sealed.HEADER + index * sealed.TAG
            nonce = sealed._nonce(bytes(7), index, last=index == count - 1)
            cipher.decrypt_into(
                nonce, source[at : at + stop - start + sealed.TAG], None, view[start:stop]
            )

    def copy() -> None:
        memoryview(target)[:] = plain

    best = dict.fromkeys(("open", "fresh", "into", "copy"), float("inf"))
    for _ in range(rounds):
        for name, call in (
            ("open", lambda: sealed.open_sealed(key, blob, b"")),
            ("fresh", lambda: bytearray(plain)),
            ("into", into),
            ("copy", copy),
        ):
            started = time.process_time()
            call()
            best[name] = min(best[name], time.process_time() - started)
    return Opened(fresh=best["open"] / best["fresh"], kept=best["into"] / best["copy"])


def texts_per_second() -> float:
    """Texts of the sample catalogues that the shipped encoder reads in one CPU second."""
    items = list(jsonl.read(ROOT / "models" / "demo" / "catalogues" / "shop.jsonl"))
    texts = [item.text for item in items][:TEXTS]
    encoder = Encoder.load(bundled("encoder"))
    encoder.encode(texts[:16])
    started = time.process_time()
    encoder.encode(texts)
    return len(texts) / (time.process_time() - started)


def engines() -> dict[str, int]:
    """Items a second of wall clock: a cluster of two Ray workers that sleep as they work."""
    with tempfile.TemporaryDirectory() as scratch:
        source = write(Path(scratch) / "items.jsonl", 6_000)
        done = subprocess.run(
            [sys.executable, "-m", "tests.server.ray_build", str(source), f"{scratch}/out", "0"],
            capture_output=True,
            text=True,
            check=True,
            cwd=ROOT,
        )
    lines = [line for line in done.stdout.splitlines() if line.startswith('{"items_per_s"')]
    found: dict[str, int] = json.loads(lines[-1])
    return found


def page(counts: tuple[int, ...] = COUNTS, data: Path | None = None) -> str:
    """Measure everything and return the document."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("BENCH_TMP")) as scratch:
        base, rows = Path(scratch), []
        for count in counts:
            source = write(base / "items.jsonl", count)
            rows.append(grown(source, base / "build"))
        before = local.read_manifest(base / "build")
        write(base / "items.jsonl", counts[-1], changed=counts[-1] // 2)
        grown(base / "items.jsonl", base / "build")
        changed = delta(before, local.read_manifest(base / "build"))
    speed, shut = texts_per_second(), opened()
    privacy = told(data) if data is not None and data.is_dir() else []
    return _written(rows, changed, speed, shut, privacy)


def _written(
    rows: list[Grown], changed: Delta, speed: float, shut: Opened, privacy: list[Told]
) -> str:
    largest = rows[-1]
    overhead = largest.cpu_s / largest.items
    record = largest.bytes / largest.items - 16 - 8  # without codes of 8 dimensions and the bias
    per_item = CODE + record
    hours = HUNDRED_MILLION * (1 / speed + overhead) / 3600
    lines = [
        "# Scale",
        "",
        "Generated by `make bench-scale`; edits are lost. CPU time; compare ratios, not absolutes.",
        "",
        "## A build streams",
        "",
        "Invented items with short texts; this is everything but the encoder.",
        "",
        "| items | shards | bytes | CPU s | peak memory, MiB |",
        "|---|---|---|---|---|",
        *(
            f"| {r.items:,} | {r.shards} | {r.bytes:,} | {r.cpu_s:.0f} | {r.peak_mib:.0f} |"
            for r in rows
        ),
        "",
        "Memory holds one row group of 32,768 items, and 24 to 36 bytes for the id of every item.",
        "",
        "## What a change costs every device",
        "",
        f"One text changed among {largest.items:,} items: {changed.fetched:,} of "
        f"{changed.total:,} bytes are fetched; the largest shard has {changed.largest:,}. "
        f"That is {changed.fetched / changed.largest:.2f} of it: one shard and "
        f"{100 * (changed.fetched - changed.largest) / changed.total:.2f} % of the whole.",
        "",
        "## Opening",
        "",
        f"A sealed shard opens in {shut.fresh:.2f} times the CPU time of copying it to new memory, "
        f"and in {shut.kept:.2f} times where the memory is there already.",
        "",
        "## A hundred million items",
        "",
        f"The shipped encoder reads {speed:.0f} texts of the sample shop in a CPU second here.",
        "",
        "| | |",
        "|---|---|",
        f"| CPU hours | {hours:,.0f} |",
        f"| hours on ten machines of {CORES} cores | {hours / (10 * CORES):,.1f} |",
        f"| bytes of an item: code and bias {CODE}, record {record:.0f} | {per_item:.0f} |",
        f"| bytes in the store | {HUNDRED_MILLION * per_item / 1e9:,.0f} GB |",
        f"| row groups | {HUNDRED_MILLION // 32_768 + 1:,} |",
        f"| memory of the driver for ids | {HUNDRED_MILLION * 36 / 1e9:.1f} GB |",
        "",
        "A device fetches all of a catalogue, and a catalogue has at most 16.7 million items: what",
        "is larger is published as several, by language, shop or kind, and a device joins those",
        f"it wants. One of a million items is {1e6 * per_item / 1e6:,.0f} MB, once; an update",
        "fetches the shards that changed.",
        "",
    ]
    if privacy:
        lines += [
            "## What partial downloads would reveal",
            "",
            "If a device fetched only the topics it needs, its host would learn them. Simulated",
            "on films: each topic a shard, each device fetches what its behaviours are about, or",
            "as much again at random; the host then guesses the person's first topic.",
            "",
            "| topics fetched | of bytes | held-out films within reach | guess is right |",
            "|---|---|---|---|",
            *(
                f"| {row.name} | {row.bytes:.0%} | {row.reach:.0%} | {row.guess:.0%} |"
                for row in privacy
            ),
            "",
            "So every device fetches everything of what it has joined. Which catalogues those are,",
            "its host does learn: choose them as you would choose a newspaper.",
            "",
        ]
    return "\n".join(lines)


def main() -> None:
    """Write the page to the path on the command line."""
    data = ROOT.parent / "shared" / "data" / "eval" / "ml100k"
    Path(sys.argv[1]).write_text(page(data=data), encoding="utf-8")


if __name__ == "__main__":
    main()
