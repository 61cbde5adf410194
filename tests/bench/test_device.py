"""What the device costs, in CPU milliseconds on this machine: `make bench` prints the tables.

Nothing here can fail for being slow: compare rows of one run with one another.
"""

import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ondevice.domain import Item, Kind
from ondevice.encoder.session import Encoder
from ondevice.formats import space
from ondevice.formats.catalogue import Catalogue
from ondevice.paths import bundled
from ondevice.privacy.decoder import StreamState, read_out
from ondevice.privacy.stream import StreamParameters
from ondevice.profile import owner_view, release
from ondevice.service.behave import log_one
from ondevice.service.demo import demo_session
from ondevice.service.recommend import recommend

pytestmark = pytest.mark.bench
ROUNDS = 7


def cpu_ms(work: Callable[[], object], *, rounds: int = ROUNDS) -> float:
    """The median of a few rounds, after one to warm up."""
    work()
    taken = []
    for _ in range(rounds):
        before = time.process_time()
        work()
        taken.append(1000 * (time.process_time() - before))
    return float(np.median(taken))


def say(title: str, rows: dict[str, float]) -> None:
    print(f"\n{title} (CPU ms, median of {ROUNDS})")
    for name, value in rows.items():
        print(f"  {name:<44}{value:>10.2f}")
    assert all(value >= 0 for value in rows.values())


def test_encoder() -> None:
    folder = bundled("encoder")
    encoder = Encoder.load(folder)
    rows = {"load a session": cpu_ms(lambda: Encoder.load(folder))}
    for words in (4, 25, 80):
        text = " ".join(["walking over the hills"] * words)[: 6 * words]
        rows[f"one text of about {words} words"] = cpu_ms(partial(encoder.encode, [text]))
    say("encoder", rows)


def test_behaviour_to_list(tmp_path: Path) -> None:
    with demo_session(tmp_path / "home") as session:
        numbers = iter(range(10**6))
        rows = {
            "record one behaviour about an item": cpu_ms(
                lambda: log_one(
                    session,
                    f"noted {next(numbers)}",
                    kind=Kind.VIEW,
                    item="film:stalker",
                    catalogue="films-and-books",
                )
            ),
            "record one free text": cpu_ms(
                lambda: log_one(session, f"a walk, number {next(numbers)}", kind=Kind.USE)
            ),
            "first page of a sample catalogue": cpu_ms(lambda: recommend(session)),
        }
    say("behaviour to list", rows)


def test_rank_large_catalogues() -> None:
    base = space.read(bundled("space"))
    parameters = StreamParameters.for_budget(4.0, 1e-6, base.dimension)
    profile = release.profile(read_out(parameters, StreamState.start(parameters)), base)
    rows = {}
    for count in (1_000, 10_000, 100_000):
        generator = np.random.default_rng(count)
        vectors = generator.standard_normal((count, base.dimension)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        items = [Item(id=str(n), title=str(n)) for n in range(count)]
        catalogue = Catalogue.in_memory(items, vectors, np.zeros(count, np.float32), base)
        rows[f"rank {count:,} items"] = cpu_ms(partial(owner_view.rank, profile, catalogue))
    say("ranking", rows)


def test_commands() -> None:
    def run(*arguments: str) -> Callable[[], object]:
        command = [sys.executable, "-m", "ondevice", *arguments]
        return lambda: subprocess.run(command, capture_output=True, check=True)

    rows = {}
    for name, call in {
        "ondevice-rec --version": run("--version"),
        "ondevice-rec demo": run("demo"),
    }.items():
        call()
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        for _ in range(3):
            call()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        rows[name] = 1000 * used / 3
    say("whole commands", rows)
