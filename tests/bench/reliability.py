"""What the store survives, measured: `make bench-reliability` writes the page in the docs.

Every part is a function that returns its figures, so that tests run smaller ones of the same.
"""

import os
import random
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from ondevice.domain import Behaviour, Kind
from ondevice.errors import IntegrityError, OnDeviceError
from ondevice.paths import Home
from ondevice.store import Entry, Store, keybox, scan
from ondevice.store.forget import Selection, delete
from ondevice.store.history import Filter
from tests.killing import AT, filled, forget, forgetter, kill, recorder, said, texts

NOBODY = 65534
BATCH = 5000


@dataclass(frozen=True, slots=True, kw_only=True)
class Grown:
    """What so many behaviours cost."""

    count: int
    seconds: float  # to record them, CPU
    bytes: int  # of the store
    page_ms: float  # the newest page of the history, CPU
    filtered_ms: float  # the newest page of one source
    open_ms: float
    forget_s: float  # one of them, CPU, all pages scanned


def kills_while_recording(home: Home, rounds: int, *, seed: int = 1) -> tuple[int, int, int]:
    """Kill a process that records; return (kills, behaviours acknowledged, lost)."""
    dice, acknowledged = random.Random(seed), set()
    for number in range(rounds):
        process = recorder(home, f"round-{number}", 1_000_000)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.2))
        acknowledged.update(said(kill(process)))
    with Store.open(home) as store:
        store.verify()
        there = {one.text for one in store.history.each()}
    return rounds, len(acknowledged), len(acknowledged - there)


def kills_while_forgetting(model: Home, home: Home, rounds: int) -> tuple[int, int, int]:
    """Kill a process that forgets; return (kills, of them done, homes in between)."""
    dice, done, between = random.Random(2), 0, 0
    for _ in range(rounds):
        shutil.rmtree(home.root, ignore_errors=True)
        shutil.copytree(model.root, home.root)
        process = forgetter(home)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(dice.uniform(0.0, 0.35))
        kill(process)
        box = keybox.read(home)
        keys = [box.store_key, *([box.next] if box.next else [])]
        fits = sum(_opens(home, key) for key in keys)
        kept, gone = texts(home, "kept"), texts(home, "gone")
        done += not gone
        between += not (fits == 1 and len(kept) == 30 and len(gone) in {0, 30})
    return rounds, done, between


def flip_sweep(home: Home, *, step: int) -> tuple[int, int, int]:
    """Flip one bit of every `step`-th byte of the store; return (tried, detected, wrong data)."""
    with Store.open(home) as store:
        good = list(store.history.each())
    blob = home.store.read_bytes()
    tried = detected = wrong = 0
    for at in range(0, len(blob), step):
        damaged = bytearray(blob)
        damaged[at] ^= 1 << (at % 8)
        home.store.write_bytes(bytes(damaged))
        tried += 1
        try:
            with Store.open(home) as store:
                store.verify()
                wrong += list(store.history.each()) != good
        except IntegrityError:
            detected += 1
    home.store.write_bytes(blob)
    with Store.open(home) as store:
        assert list(store.history.each()) == good
    return tried, detected, wrong


def at_once(home: Home, *, writers: int, readers: int, count: int) -> tuple[int, int, int]:
    """Let processes write, read and forget at once; return (written, reads, failed or lost)."""
    filled(home)
    programs = [recorder(home, f"writer-{n}", count) for n in range(writers)]
    watchers = [_reader(home) for _ in range(readers)]
    forget(home)
    failed, written = 0, 0
    for number, process in enumerate(programs):
        lines, _ = process.communicate()
        acknowledged = set(said(lines))
        written += len(acknowledged)
        failed += process.returncode != 0 or len(acknowledged) != count
        failed += len(acknowledged - texts(home, f"writer-{number}"))
    reads = 0
    for process in watchers:
        lines, _ = process.communicate("enough\n")
        failed += process.returncode != 0
        reads += int(lines.split()[-1]) if lines.split() else 0
    return written, reads, failed


def grow(home: Home, sizes: tuple[int, ...]) -> Iterator[Grown]:
    """Fill one store step by step and measure at each of `sizes`."""
    spent, there = 0.0, 0
    for size in sizes:
        with Store.open(home) as store:
            before = time.process_time()
            while there < size:
                store.record_many([_entry(n) for n in range(there, min(there + BATCH, size))])
                there = min(there + BATCH, size)
            spent += time.process_time() - before
            page = _cpu(lambda: store.history.page(Filter(), limit=50))  # at once
            part = _cpu(lambda: store.history.page(Filter(source="source-3"), limit=50))
        opened = _cpu(lambda: Store.open(home).close())
        weight = home.store.stat().st_size
        with Store.open(home) as store:
            before = time.process_time()
            store.rewrite(lambda c: delete(c, Selection(id=3)))
            forgotten = time.process_time() - before
            store.record(_entry(2))  # the third again, so that the numbers stay
        yield Grown(
            count=size,
            seconds=spent,
            bytes=weight,
            page_ms=1000 * page,
            filtered_ms=1000 * part,
            open_ms=1000 * opened,
            forget_s=forgotten,
        )


def disk_full(home: Home, room: int) -> tuple[int, int, bool]:
    """Record until the disk is full; return (acknowledged, lost, whether a forget was refused)."""
    filled(home)
    acknowledged, refused = set(), False
    with _limited(home, room), suppress(OnDeviceError), Store.open(home) as store:
        for number in range(100_000):
            text = f"until the disk is full {number} " + "word " * 40
            store.record(Entry(behaviour=Behaviour(text=text, kind=Kind.USE, at=AT)))
            acknowledged.add(text)
    with _limited(home, -home.store.stat().st_size // 2):
        try:
            forget(home)
        except OnDeviceError:
            refused = True
    with Store.open(home) as store:
        store.verify()
        there = {one.text for one in store.history.each()}
        store.record(Entry(behaviour=Behaviour(text="room again", kind=Kind.USE, at=AT)))
    lost = len(acknowledged - there) + (30 - len(texts(home, "kept")))
    return len(acknowledged), lost, refused


def read_only(folder: Path) -> tuple[int, int]:
    """Try to record where nothing can be written; return (exit code, behaviours lost)."""
    home = Home(folder / "home")
    filled(home)
    root = os.geteuid() == 0
    if root:
        for path in (home.root, *home.root.iterdir()):
            os.chown(path, NOBODY, NOBODY)
    for path in home.root.iterdir():
        path.chmod(0o400)
    home.root.chmod(0o500)
    try:
        child = os.fork()
        if not child:
            os._exit(_try_to_record(home, drop=root))
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    finally:
        home.root.chmod(0o700)
        for path in home.root.iterdir():
            path.chmod(0o600)
            if root:
                os.chown(path, 0, 0)
        if root:
            os.chown(home.root, 0, 0)
    kept, gone = texts(home, "kept"), texts(home, "gone")
    return code, 60 - len(kept) - len(gone)


def _try_to_record(home: Home, *, drop: bool) -> int:
    """Record something as somebody whom the modes of files bind; return the exit code."""
    try:
        if drop:
            os.setgid(NOBODY)
            os.setuid(NOBODY)
        with Store.open(home) as store:
            store.record(Entry(behaviour=Behaviour(text="x", kind=Kind.USE, at=AT)))
    except OnDeviceError as error:
        return error.exit_code
    except BaseException:  # the child of a fork must not go on
        return 99
    return 0


def report(*, rounds: int, step: int) -> str:
    """Measure everything and return the page; `rounds` kills of each sort, each `step`-th byte."""
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as name:
        base = Path(name)

        def home(part: str) -> Home:
            (base / part).mkdir()
            return Home(base / part / "home")

        kills = kills_while_recording(home("kills"), rounds)
        model = home("model")
        filled(model)
        forgets = kills_while_forgetting(model, home("forgets"), rounds)
        flips = home("flips")
        filled(flips, keep=40, forget=0)
        tried, detected, wrong = flip_sweep(flips, step=step)
        boxes, refused = _flip_keybox(flips)
        written, reads, failed = at_once(home("together"), writers=4, readers=4, count=200)
        full = disk_full(home("full"), 1 << 20)
        base.chmod(0o711)
        (base / "only").mkdir(mode=0o711)
        code, lost = read_only(base / "only")
        grown = list(grow(home("grown"), (10_000, 100_000, 1_000_000)))
    lines = [
        "# What the store survives",
        "",
        "Written by `make bench-reliability` (tests/bench/reliability.py). Smaller ones of the "
        "same run in the test suite. CPU time of one core; take ratios from it.",
        "",
        "| what | figure |",
        "|---|---|",
        f"| `kill -9` while behaviours are recorded | {kills[0]} kills, {kills[1]:,} behaviours "
        f"acknowledged, **{kills[2]} lost** |",
        f"| `kill -9` while something is forgotten | {forgets[0]} kills at random points: "
        f"{forgets[1]} had been done, {forgets[0] - forgets[1]} not, "
        f"**{forgets[2]} in between**; one key opens the store each time |",
        f"| one flipped bit in the store, one byte in {step} | {tried:,} tried, {detected:,} "
        f"detected, **{wrong} with wrong data** |",
        f"| one flipped bit in keybox and device.key, every byte | {boxes} tried, "
        f"**{refused} refused** |",
        f"| 4 writers, 4 readers and a forget at once | {written:,} behaviours and {reads:,} "
        f"reads, **{failed} failed or lost** |",
        f"| the disk is full at 1 MiB a file | {full[0]:,} acknowledged before, "
        f"**{full[1]} lost**; a forget was "
        f"{'refused and changed nothing' if full[2] else 'possible'} |",
        f"| nothing can be written | exit code {code}, **{lost} lost** |",
        "",
        "## How it grows",
        "",
        "Behaviours of about 40 characters, kept without a step (as an import keeps all but the "
        f"newest), in transactions of {BATCH:,}.",
        "",
        "| behaviours | recorded in | each | store | each | newest page | one source | open | "
        "forget one, all pages scanned |",
        "|---|---|---|---|---|---|---|---|---|",
        *(
            f"| {g.count:,} | {g.seconds:.1f} s | {1e6 * g.seconds / g.count:.0f} µs "
            f"| {g.bytes / 1e6:.1f} MB | {g.bytes / g.count:.0f} B | {g.page_ms:.1f} ms "
            f"| {g.filtered_ms:.1f} ms | {g.open_ms:.1f} ms | {g.forget_s:.1f} s |"
            for g in grown
        ),
        "",
        "Recording and size grow linearly; a page and opening don't grow. A forget writes the "
        "whole store anew under another key, so it grows with the store (adr/0009).",
        "",
    ]
    return "\n".join(lines)


def _entry(number: int) -> Entry:
    return Entry(
        behaviour=Behaviour(
            text=f"something that was done, number {number}",
            kind=list(Kind)[number % len(Kind)],
            at=AT + timedelta(minutes=number),
            source=f"source-{number % 7}",
        )
    )


def _cpu(work: Callable[[], object], rounds: int = 5) -> float:
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(time.process_time() - before)
    return sorted(taken)[rounds // 2]


def _flip_keybox(home: Home) -> tuple[int, int]:
    tried = refused = 0
    for path in (home.keybox, home.pepper):
        good = path.read_bytes()
        for at in range(len(good)):
            path.write_bytes(good[:at] + bytes([good[at] ^ 1 << (at % 8)]) + good[at + 1 :])
            tried += 1
            try:
                keybox.read(home)
            except IntegrityError:
                refused += 1
        path.write_bytes(good)
    return tried, refused


def _opens(home: Home, key: bytes) -> bool:
    with suppress(IntegrityError):
        return bool(next(scan.pages(home.store, key)))
    return False


@contextmanager
def _limited(home: Home, room: int) -> Iterator[None]:
    """Let no file of this process grow beyond what the store has now, and `room` bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (home.store.stat().st_size + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


_READER = """
import select, sys
from pathlib import Path
from ondevice.paths import Home
from ondevice.store import Store
from ondevice.store.history import Filter
count = 0
with Store.open(Home(Path(sys.argv[1]))) as store:
    while not select.select([sys.stdin], [], [], 0)[0]:
        page = store.history.page(Filter(), limit=20)
        assert all(one.text for one in page) and len(page) == 20
        count += 1
print(count)
"""


def _reader(home: Home) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _READER, str(home.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


if __name__ == "__main__":
    target = Path(sys.argv[1])
    numbers = [int(each) for each in sys.argv[2:]] or [100, 13]
    page = report(rounds=numbers[0], step=numbers[1])
    target.write_text(page, encoding="utf-8")
    sys.stderr.write(page)
