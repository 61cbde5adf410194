"""Processes that work on one home and are killed: what several tests of the store start."""

import json
import signal
import subprocess
import sys
import textwrap
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ondevice.domain import Behaviour, Kind
from ondevice.paths import Home
from ondevice.store import Entry, Store
from ondevice.store.forget import Selection, delete

AT = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
SECRET = "heron"  # in every text that is to be forgotten

# Forgets everything from one source. `point` is a function to be killed before or after (its first
# call, or its n-th), or nothing.
FORGETTER = textwrap.dedent(
    """
    import importlib, os, signal, sys
    from pathlib import Path
    from ondevice.paths import Home
    from ondevice.store import Store
    from ondevice.store.forget import Selection, delete

    folder, source, point, when, number = *sys.argv[1:5], int(sys.argv[5])
    if point:
        module, _, name = point.partition(":")
        owner = importlib.import_module(module)
        *path, name = name.split(".")
        for part in path:
            owner = getattr(owner, part)
        real, calls = getattr(owner, name), []
        def killed(*args, **kwargs):
            calls.append(1)
            if when == "before" and len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            answer = real(*args, **kwargs)
            if when == "after" and len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return answer
        setattr(owner, name, killed)
    with Store.open(Home(Path(folder))) as store:
        print("ready", flush=True)
        store.rewrite(lambda connection: delete(connection, Selection(source=source)))
        print("forgotten", flush=True)
    """
)

# Records one behaviour after another, each acknowledged on stdout once it is durable.
RECORDER = textwrap.dedent(
    """
    import json, sys
    from datetime import UTC, datetime
    from pathlib import Path
    from ondevice.domain import Behaviour, Kind
    from ondevice.paths import Home
    from ondevice.store import Entry, Store

    folder, name, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    with Store.open(Home(Path(folder))) as store:
        print("ready", flush=True)
        for number in range(count):
            text = f"{name} {number}"
            done = store.record(
                Entry(behaviour=Behaviour(text=text, kind=Kind.USE, at=at, source=name))
            )
            assert store.behaviours.get(done.id).text == text
            print(json.dumps(text), flush=True)
    """
)


def filled(home: Home, *, keep: int = 30, forget: int = 30) -> None:
    """Make a home with things to keep and things to forget, of two sources."""
    with Store.open(home) as store:
        store.record_many(
            Entry(
                behaviour=Behaviour(
                    text=f"{'kept' if n < keep else SECRET} number <{n}> " + "word " * (n % 90),
                    kind=Kind.LIKE,
                    at=AT,
                    source="kept" if n < keep else "gone",
                )
            )
            for n in range(keep + forget)
        )


def forgetter(
    home: Home, *, point: str = "", when: str = "before", number: int = 1
) -> "subprocess.Popen[str]":
    """Start a process that forgets the source "gone"."""
    return _start(FORGETTER, home, "gone", point, when, number)


def recorder(home: Home, name: str, count: int) -> "subprocess.Popen[str]":
    """Start a process that records `count` behaviours of the source `name`."""
    return _start(RECORDER, home, name, count)


def said(lines: str) -> list[Any]:
    """What a recorder acknowledged; a torn last line acknowledges nothing."""
    whole = [line for line in lines.splitlines(keepends=True) if line.endswith("\n")]
    return [json.loads(line) for line in whole if line.startswith('"')]


def kill(process: "subprocess.Popen[str]") -> str:
    """Kill `process` as hard as can be; return what it had said."""
    process.send_signal(signal.SIGKILL)
    lines, errors = rest(process)
    assert process.returncode in {-signal.SIGKILL, 0}, errors
    return lines


def rest(process: "subprocess.Popen[str]") -> tuple[str, str]:
    """Return what `process` still says until it ends, and its errors.

    `communicate` would miss what a `readline` before it had read ahead.
    """
    assert process.stdout is not None
    assert process.stderr is not None
    lines, errors = process.stdout.read(), process.stderr.read()
    process.stdout.close()
    process.stderr.close()
    process.wait(timeout=120)
    return lines, errors


def texts(home: Home, source: str) -> set[str]:
    """Return the texts of one source; the whole store is verified on the way."""
    with Store.open(home) as store:
        store.verify()
        return {one.text for one in store.history.each() if one.source == source}


def forget(home: Home) -> None:
    """Forget the source "gone" in this process."""
    with Store.open(home) as store:
        store.rewrite(lambda connection: delete(connection, Selection(source="gone")))


def _start(program: str, home: Home, *arguments: object) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", program, str(home.root), *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def folder_of(path: Path) -> Home:
    """Return the home below `path`."""
    return Home(path / "home")
