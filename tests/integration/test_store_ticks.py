"""Rows at public times under kill -9 and under several processes at once, each a real process."""

import json
import random
import signal
import subprocess
import sys
import textwrap
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from ondevice.paths import Home
from ondevice.privacy import decoder
from ondevice.privacy.cadence import Clock
from ondevice.privacy.stream import StreamParameters
from ondevice.store import Store, Stream, row_maker
from tests.killing import rest

AT = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)

# Lets an hour pass, records something, ticks; and so on, until killed or done. Two of them at
# once share the hours: the one behind finds nothing due.
WORKER = textwrap.dedent(
    """
    import json, sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from ondevice.domain import Behaviour, Kind
    from ondevice.paths import Home
    from ondevice.store import Entry, Store, row_maker

    folder, name, first, count = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    start = datetime(2026, 1, 2, 3, 0, 0, tzinfo=UTC)
    with Store.open(Home(Path(folder))) as store:
        (stream,) = store.ledger.open_streams()
        print("ready", flush=True)
        for n in range(first, first + count):
            now = start + timedelta(hours=n)
            text = f"{name} {n}"
            done = store.record(
                Entry(
                    behaviour=Behaviour(text=text, kind=Kind.USE, at=now),
                    stream=stream, step=(n % 7, 1, 0, 0), now=now,
                )
            )
            print(json.dumps({"text": text, "id": done.id}), flush=True)
            made = store.tick(stream, now=now, make_row=row_maker())
            print(json.dumps({"hour": n, "made": made}), flush=True)
    """
)


def opened(home: Home) -> Stream:
    with Store.open(home) as store:
        return store.ledger.open_stream(
            space="ab" * 32,
            unit="behaviour",
            parameters=StreamParameters.for_budget(4.0, 1e-6, 4, half_life=4),
            cap_epsilon=4.0,
            cap_delta=1e-6,
            at=AT,
            clock=Clock.every(3600, AT),
        )


def start(home: Home, name: str, first: int, count: int) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", WORKER, str(home.root), name, str(first), str(count)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def said(lines: str) -> list[dict[str, int | str]]:
    whole = [line for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole if line.startswith("{")]


def check(home: Home, stream: Stream, told: list[dict[str, int | str]]) -> int:
    """Each behaviour that was acknowledged waits or is in one row; rows are whole; count them."""
    with Store.open(home) as store:
        store.verify()
        rows = list(store.releases.rows(stream))
        kept = {int(b.id or 0): b.text for b in store.behaviours.recent(100_000)}
        for one in (one for one in told if "text" in one):
            assert kept[int(one["id"])] == one["text"]
        places = store._db.rows(
            "select behaviour from steps union all select behaviour from waiting"
        )
        assert sorted(place for (place,) in places) == sorted(kept)
        assert store._db.rows("select 1 from waiting where t <= ?", len(rows)) == []
        blob = store.releases.state(stream)
        if rows:
            assert blob is not None
            state = decoder.StreamState.from_bytes(stream.parameters, blob)
            assert state.steps == len(rows)
            replayed = decoder.decode(stream.parameters, rows)
            assert (replayed.v * stream.parameters.grid == state.v).all()
        return len(rows)


def test_kill_9_while_rows_come_due_loses_and_doubles_nothing(tmp_path: Path) -> None:
    home, dice = Home(tmp_path / "home"), random.Random(8)
    stream, told, hour = opened(home), [], 0
    for number in range(14):
        process = start(home, f"round {number}", hour, 100_000)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        time.sleep(dice.uniform(0.0, 0.2))
        process.send_signal(signal.SIGKILL)
        lines, errors = rest(process)
        assert process.returncode == -signal.SIGKILL, errors
        new = said(lines)
        told += new
        hour = max([hour, *(int(one["hour"]) + 1 for one in new if "hour" in one)])
        assert hour - 1 <= max(hour - 1, check(home, stream, told)) <= hour + 1
    assert len([one for one in told if "text" in one]) > 14
    with Store.open(home) as store:  # what is due is still due, and nothing was made twice
        now = AT + hour * HOUR
        before = store.releases.count(stream)
        assert store.tick(stream, now=now, make_row=row_maker()) == max(0, hour - before)
    assert check(home, stream, told) == max(hour, before)


def test_processes_that_record_and_tick_at_once_make_every_row_once(tmp_path: Path) -> None:
    """As when the TUI is open and commands are run beside it."""
    home, hours = Home(tmp_path / "home"), 80
    stream = opened(home)
    processes = [start(home, name, 0, hours) for name in ("tui", "cli", "hub")]
    told = []
    for process in processes:
        lines, errors = rest(process)
        assert process.returncode == 0, errors
        told += said(lines)
    assert sum(int(one["made"]) for one in told if "made" in one) == hours - 1
    assert check(home, stream, told) == hours - 1
    with Store.open(home) as store:
        assert store.behaviours.count() == 3 * hours
        assert store.tick(stream, now=AT + hours * HOUR, make_row=row_maker()) == 1
    assert check(home, stream, told) == hours
