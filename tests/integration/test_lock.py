"""The lock and the broker, for real: what a locked process can still do, and what it can't."""

import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ondevice.cli.lock import NEEDS
from ondevice.cli.main import COMMANDS
from ondevice.errors import ConfigError, NotReadyError, OnDeviceError, TrustError
from ondevice.sandbox import broker, engine, lock, numbers
from ondevice.updates import fetch
from tests.commands import here, process

ROOT = Path(__file__).resolve().parents[2]
LEVEL = lock.possible()
needs_lock = pytest.mark.skipif(not LEVEL.calls, reason="this system knows no lock")
needs_landlock = pytest.mark.skipif(not LEVEL.files, reason="this kernel has no Landlock")


def run(target: str, plan: lock.Plan, **given: Any) -> dict[str, object]:
    child = engine.spawn(f"tests.locked:{target}", plan, **given)
    try:
        said, _ = child.channel.receive()
    finally:
        code = child.close()
    assert code == 0
    return said


def plan(*change: Path) -> lock.Plan:
    return lock.Plan(change=change, read=(ROOT / "tests",))


@needs_lock
@needs_landlock
def test_only_its_own_files(tmp_path: Path) -> None:
    mine, other = tmp_path / "mine", tmp_path / "other"
    mine.mkdir()
    other.mkdir()
    (other / "secret").write_text("secret")
    os.dup2(os.open(other, os.O_RDONLY), 100, inheritable=True)

    said = run("files", plan(mine), inside=str(mine), outside=str(other))

    os.close(100)
    assert {name for name, how in said.items() if how == "done"} == {
        *("write inside", "read inside", "move inside", "remove inside", "pair")
    }
    assert said["program"] == "EPERM"
    assert said["descriptor of the caller"] == "EBADF"
    assert (other / "secret").read_text() == "secret"


@needs_lock
@pytest.mark.skipif(LEVEL.architecture != "x86_64", reason="x32 is an interface of x86-64")
def test_a_call_of_x32_ends_the_process() -> None:
    getpid = 39

    assert run("foreign", plan(), number=numbers.X32 | getpid) == {"signal": signal.SIGSYS}
    assert run("foreign", plan(), number=getpid) == {"signal": 0}


@needs_lock
def test_an_engine_works_under_it_and_telemetry_can_t_leave(tmp_path: Path) -> None:
    home, outside = tmp_path / "home", tmp_path / "outside"
    home.mkdir(mode=0o700)
    outside.mkdir()
    before = {name: os.environ.get(name) for name in ("HOME", "TMPDIR", "XDG_CACHE_HOME")}
    os.environ.update(dict.fromkeys(before, str(outside)))
    try:
        said = run("work", plan(home), home=str(home))
    finally:
        for name, value in before.items():
            os.environ.pop(name) if value is None else os.environ.update({name: value})

    assert said == {
        "dimensions": 384,
        "ledger": 0,
        "loop": [7],
        "filters": ["Seccomp:\t2"],  # every thread, those of the libraries too
        "socket": "EPERM",
    }
    if LEVEL.files:
        assert [path.name for path in outside.rglob("*") if path.is_file()] == []


def test_a_child_answers_over_its_channel_and_never_locks_its_caller() -> None:
    child = engine.spawn("tests.locked:add", plan(), terms=3)
    for n, total in ((1, 4), (2, 9), (3, 15)):
        child.channel.send({"n": n}, b"abc")
        assert child.channel.receive()[0] == {"total": total}

    assert child.close() == 0
    assert not lock.level().enforced
    socket.socket().close()


def test_a_child_that_fails_is_no_answer() -> None:
    child = engine.spawn("tests.locked:nothing_of_this_name", plan())

    with pytest.raises(OnDeviceError, match="has ended"):
        child.channel.receive()
    assert child.close() != 0


@needs_lock
@pytest.mark.parametrize("arguments", [["history"], ["budget", "--json"], ["catalogue", "list"]])
def test_a_command_locks_its_process(arguments: list[str], tmp_path: Path) -> None:
    assert "Seccomp:\t2" in after(arguments, tmp_path / "home")


@pytest.mark.parametrize("arguments", [["--help"], ["config", "path"], ["completion", "bash"]])
def test_a_command_that_opens_nothing_private_does_not(
    arguments: list[str], tmp_path: Path
) -> None:
    assert "Seccomp:\t0" in after(arguments, None if len(arguments) < 2 else tmp_path / "home")


def after(arguments: list[str], home: Path | None) -> str:
    """Run a command, in a process of its own, and return what the kernel says about it then."""
    told = [*arguments, *(["--home", str(home)] if home and "completion" not in arguments else [])]
    code = (
        "import sys; from ondevice.cli.main import run; run(sys.argv[1:], lock=True); "
        "sys.stdout.flush(); print(open('/proc/self/status').read())"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *told], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return done.stdout


def test_what_commands_need_is_about_commands_that_exist() -> None:
    assert {name.split()[0] for name in NEEDS} <= set(COMMANDS) | {"export"}
    assert {name for name, need in NEEDS.items() if need.broker} >= {"catalogue add"}


def test_a_program_that_calls_a_command_is_not_locked(tmp_path: Path) -> None:
    assert here("history", home=tmp_path / "home").code == 0
    assert not lock.level().enforced
    socket.socket().close()


@needs_lock
@needs_landlock
def test_a_command_reads_the_file_that_was_named_and_no_other(tmp_path: Path) -> None:
    named = tmp_path / "named.jsonl"
    named.write_text('{"text": "a walk over the hills"}\n')
    home = tmp_path / "home"

    done = process("import", "jsonl", named, "--home", home, "--json")

    assert done.returncode == 0, done.stderr
    assert b'"kept": 1' in done.stdout


def test_a_home_that_stays_empty_is_not_left_behind(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"

    assert process("catalogue", "list", "--home", home).returncode == 0
    assert not home.exists()


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[broker.Broker, Path]]:
    """A broker, and the folder around the home it works for."""
    home = tmp_path / "home"
    staging = home / "catalogues" / ".staging"
    staging.mkdir(parents=True)
    (home / "device.key").write_text("a key")
    (tmp_path / "typed.txt").write_text("typed by the owner")
    (tmp_path / "public").mkdir()
    (tmp_path / "public" / "file").write_text("from afar")
    tools = tmp_path / "tools"
    tools.mkdir()
    opener = tools / "xdg-open"
    opener.write_text(f'#!/bin/sh\necho "$1" > {tmp_path}/opened\n')
    opener.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    found = broker.start(home, staging, lambda: fetch)
    yield found, tmp_path
    found.close()


def test_the_broker_fetches(world: tuple[broker.Broker, Path]) -> None:
    found, base = world
    staging = base / "home/catalogues/.staging"
    with serving(base / "public") as url:
        assert found.fetch_optional(f"{url}/file", limit=100) == b"from afar"
        assert found.fetch_optional(f"{url}/nothing", limit=100) is None
        assert found.fetch_to(f"{url}/file", staging / "file", limit=100) == 9
        with pytest.raises(TrustError, match="longer than"):
            found.fetch_optional(f"{url}/file", limit=3)
        assert found.bytes_sent() > 100
    with pytest.raises(NotReadyError, match="offline"):
        found.fetch_optional(f"{url}/file", limit=100)
    with pytest.raises(ConfigError, match="is refused"):
        found.fetch_optional("gopher://example.org/file", limit=100)
    assert (staging / "file").read_text() == "from afar"
    assert found.fetch_optional((base / "public/file").as_uri(), limit=100) == b"from afar"


@needs_landlock
def test_the_broker_can_t_read_the_home_nor_write_elsewhere(
    world: tuple[broker.Broker, Path],
) -> None:
    found, base = world
    with pytest.raises(NotReadyError, match="cannot read"):
        found.fetch_optional((base / "home/device.key").as_uri(), limit=100)
    with pytest.raises(ValueError, match="subpath"):
        found.fetch_to((base / "public/file").as_uri(), base / "stolen", limit=100)
    assert not (base / "stolen").exists()


def test_the_broker_passes_what_the_owner_typed(world: tuple[broker.Broker, Path]) -> None:
    found, base = world
    handle = found.pass_fd(base / "typed.txt")

    assert os.read(handle, 100) == b"typed by the owner"
    os.close(handle)
    with pytest.raises(ConfigError, match="lies in the home"):
        found.pass_fd(base / "home/device.key")
    with pytest.raises(ConfigError, match="no ordinary file"):
        found.pass_fd(base / "public")
    with pytest.raises(NotReadyError, match="cannot read"):
        found.pass_fd(base / "nothing")


def test_the_broker_opens_addresses_only(world: tuple[broker.Broker, Path]) -> None:
    found, base = world
    found.open_address("https://example.org/item?id=1")
    for _ in range(500):
        if (base / "opened").exists() and (base / "opened").read_text():
            break
        threading.Event().wait(0.02)

    assert (base / "opened").read_text() == "https://example.org/item?id=1\n"
    for bad in ("file:///etc/passwd", "javascript:alert(1)", "--help", "https://a b", "http://é"):
        with pytest.raises(ConfigError, match="only an http or https address"):
            found.open_address(bad)


def test_the_broker_has_no_other_verb(world: tuple[broker.Broker, Path]) -> None:
    found, _ = world
    for order in ({"verb": "exec", "argv": ["true"]}, {}, {"verb": "fetch", "url": 3}):
        with pytest.raises(ConfigError, match="no such verb"):
            found._ask(order)
    climbing = {"verb": "fetch", "url": "file:///x", "limit": 9, "name": "../../device.key"}
    with pytest.raises(ConfigError, match="into staging only"):
        found._ask(climbing)
