"""The store under kill -9 and under several processes at once, each a real process."""

import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest

from ondevice.domain import Behaviour, Kind
from ondevice.paths import Home
from ondevice.privacy import decoder
from ondevice.store import Entry, Store, keybox
from tests.killing import rest

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)

# Writes behaviours, each acknowledged on stdout once it is durable, until killed or done.
WRITER = textwrap.dedent(
    """
    import json, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from ondevice.domain import Behaviour, Kind
    from ondevice.paths import Home
    from ondevice.privacy import decoder
    from ondevice.privacy.randomness import SystemRandomness
    from ondevice.privacy.stream import StreamParameters, row
    from ondevice.store import Entry, Row, Store

    folder, name, count, batch, restart = sys.argv[1], sys.argv[2], *map(int, sys.argv[3:6])
    at, randomness = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC), SystemRandomness()
    parameters = StreamParameters.for_budget(4.0, 1e-6, 8, half_life=8)

    def make_row(stream, inputs, state):
        p = stream.parameters
        y = row(p, inputs, randomness)
        before = (
            decoder.StreamState.from_bytes(p, state) if state else decoder.StreamState.start(p)
        )
        return Row(y=y, state=decoder.advance(p, before, y).to_bytes(p))

    with Store.open(Home(Path(folder))) as store:
        print("ready", flush=True)
        stream = None
        for first in range(0, count, batch):
            if stream is None or (restart and first % restart == 0):
                ask = store.ledger.open_stream if restart else store.ledger.ensure_stream
                stream = ask(
                    space="ab" * 32, unit="behaviour", parameters=parameters, cap_epsilon=4.0,
                    cap_delta=1e-6, at=at,
                )
                print(json.dumps({"stream": stream.id}), flush=True)
            texts = [f"{name} {n}" for n in range(first, min(first + batch, count))]
            done = store.record_many(
                [
                    Entry(
                        behaviour=Behaviour(text=text, kind=Kind.USE, at=at),
                        stream=stream,
                        step=tuple(len(text) + i for i in range(8)),
                    )
                    for text in texts
                ],
                make_row,
            )
            for text, each in zip(texts, done, strict=True):
                print(json.dumps({"text": text, "id": each.id, "t": each.t, "s": stream.id}))
            sys.stdout.flush()
    """
)


def start(
    home: Home, name: str, *, count: int = 100_000, batch: int = 1, restart: int = 0
) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(home.root), name, str(count), str(batch), str(restart)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def acknowledged(lines: str) -> list[dict[str, int | str]]:
    """What was said in whole lines; a torn last line acknowledges nothing."""
    whole = [line for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole if line.startswith("{")]


def check(home: Home, said: list[dict[str, int | str]]) -> None:
    """Everything acknowledged is there with its row; nothing is there by half."""
    with Store.open(home) as store:
        store.verify()
        streams = {stream.id: stream for stream in store.ledger.streams()}
        assert {s["stream"] for s in said if "stream" in s} <= set(streams)
        texts = {b.id: b.text for b in store.behaviours.recent(1_000_000)}
        steps = {
            s: {p.t: p for p in store.behaviours.steps(stream).individual}
            for s, stream in streams.items()
        }
        for one in (s for s in said if "text" in s):
            assert texts[int(one["id"])] == one["text"]
        for s, stream in streams.items():
            rows = list(store.releases.rows(stream))
            last = [one for one in said if one.get("s") == s and int(one["t"]) > len(rows) - 8 * 8]
            for one in last:
                assert steps[s][int(one["t"])].label == one["text"]
            kept = store.releases.state(stream)
            if rows:
                assert kept is not None
                p = stream.parameters
                state = decoder.StreamState.from_bytes(p, kept)
                assert state.steps == len(rows)
                replayed = decoder.decode(p, rows)
                assert (replayed.v * p.grid == state.v).all()
        assert len(texts) == sum(store.releases.counts().values())


@pytest.mark.parametrize(
    ("rounds", "batch", "restart"),
    [(20, 1, 0), (10, 7, 0), pytest.param(30, 1, 5, marks=pytest.mark.slow)],
)
def test_kill_9_loses_nothing_that_was_acknowledged(
    tmp_path: Path, rounds: int, batch: int, restart: int
) -> None:
    home, dice = Home(tmp_path / "home"), random.Random(rounds)
    said: list[dict[str, int | str]] = []
    for number in range(rounds):
        process = start(home, f"round {number}", batch=batch, restart=restart)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0.0, 0.25))
        process.send_signal(signal.SIGKILL)
        lines, errors = rest(process)
        assert process.returncode == -signal.SIGKILL, errors
        said += acknowledged(lines)
        check(home, said)
    assert len([s for s in said if "text" in s]) > 2 * rounds  # it did work in between


def test_kill_9_during_creation_locks_nobody_out(tmp_path: Path) -> None:
    dice = random.Random(5)
    for number in range(12):
        home = Home(tmp_path / f"home {number}")
        process = start(home, "first", count=1)
        while not home.root.exists():  # the interpreter is up
            time.sleep(0.001)
        time.sleep(dice.uniform(0.0, 0.06))
        process.send_signal(signal.SIGKILL)
        lines, _ = rest(process)
        check(home, acknowledged(lines))
        with Store.open(home) as store:
            assert store.behaviours.count() <= 1


def test_two_processes_write_at_once_and_share_one_stream(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    processes = [start(home, name, count=60) for name in ("left", "right", "third")]
    said = []
    for process in processes:
        lines, errors = rest(process)
        assert process.returncode == 0, errors
        said += acknowledged(lines)

    assert sorted(int(one["t"]) for one in said if "t" in one) == list(range(1, 181))
    assert len({one["s"] for one in said if "s" in one}) == 1
    check(home, said)
    box = keybox.read(home)
    assert (box.pending, box.rows) == (None, {1: 180})


def test_streams_opened_at_once_are_each_charged(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    processes = [start(home, name, count=12, restart=3) for name in ("left", "right")]
    said = []
    for process in processes:
        lines, errors = rest(process)
        assert process.returncode == 0, errors
        said += acknowledged(lines)
    assert sorted(int(one["stream"]) for one in said if "stream" in one) == list(range(1, 9))
    check(home, said)


def test_a_reader_beside_a_writer_sees_whole_behaviours(tmp_path: Path) -> None:
    home = Home(tmp_path / "home")
    Store.open(home).close()
    process = start(home, "writer", count=80, batch=4)
    seen = 0
    while process.poll() is None:
        with Store.open(home) as store, store.transaction():
            rows = sum(store.releases.counts().values())
            assert store.behaviours.count() == rows
            assert rows % 4 == 0
            seen = max(seen, rows)
    lines, errors = rest(process)
    assert process.returncode == 0, errors
    check(home, acknowledged(lines))


def test_threads_may_share_a_store(tmp_path: Path) -> None:
    from concurrent.futures import ThreadPoolExecutor

    with Store.open(Home(tmp_path / "home")) as store:

        def work(number: int) -> int:
            behaviour = Behaviour(text=f"thread {number % 50}", kind=Kind.USE, at=AT)
            with store.transaction():
                store.behaviours.count()
                return store.record(Entry(behaviour=behaviour)).id

        with ThreadPoolExecutor(8) as pool:
            ids = list(pool.map(work, range(100)))
        assert len(set(ids)) == 50
        assert store.behaviours.count() == 50


def test_opening_needs_no_numpy_and_no_model(tmp_path: Path) -> None:
    """The commands that only look something up start without the heavy libraries."""
    home = Home(tmp_path / "home")
    Store.open(home).close()
    program = (
        "import sys; from pathlib import Path; from ondevice.paths import Home\n"
        f"from ondevice.store import Store\n"
        f"with Store.open(Home(Path({str(home.root)!r}))) as store: store.behaviours.recent(5)\n"
        "print(sorted({'numpy', 'onnxruntime', 'tokenizers', 'textual'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], check=False, capture_output=True, text=True
    )
    assert (done.returncode, done.stdout) == (0, "[]\n"), done.stderr
