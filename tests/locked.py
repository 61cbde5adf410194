"""Functions that run in a locked child of `tests/integration/test_lock.py`."""

import asyncio
import errno
import os
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from ondevice.sandbox import kernel
from ondevice.sandbox.wire import Channel


def outcome(work: Callable[[], object]) -> str:
    """Return "done", or the name of the errno that stopped it."""
    try:
        work()
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, repr(error))
    return "done"


def foreign(channel: Channel, *, number: int) -> None:
    """Make a call of another interface of this machine, in a fork; tell how that ended."""
    process = os.fork()
    if process == 0:
        with suppress(OSError):
            kernel.call(number)
        os._exit(0)
    channel.send({"signal": os.WTERMSIG(os.waitpid(process, 0)[1])})


def files(channel: Channel, *, inside: str, outside: str) -> None:
    """Try files in and out of what was allowed."""
    mine, other = Path(inside), Path(outside)
    attempts: dict[str, Callable[[], Any]] = {
        "write inside": lambda: (mine / "new").write_text("x"),
        "read inside": lambda: (mine / "new").read_text(),
        "move inside": lambda: (mine / "new").rename(mine / "moved"),
        "remove inside": lambda: (mine / "moved").unlink(),
        "read outside": lambda: (other / "secret").read_text(),
        "list outside": lambda: list(other.iterdir()),
        "write outside": lambda: (other / "new").write_text("x"),
        "remove outside": lambda: (other / "secret").unlink(),
        "link from outside": lambda: os.link(other / "secret", mine / "link"),
        "program": lambda: os.execv("/bin/true", ["true"]),
        "pair": lambda: socket.socketpair()[0].close(),
        "descriptor of the caller": lambda: os.fstat(100),
    }
    channel.send({name: outcome(work) for name, work in attempts.items()})


def work(channel: Channel, *, home: str) -> None:
    """Do what an engine does: encode, store, wait on threads and on an event loop."""
    os.environ.pop("ORT_DISABLE_TELEMETRY", None)
    import onnxruntime  # with its telemetry on: the lock alone has to hold

    from ondevice.encoder.session import Encoder
    from ondevice.paths import Home, bundled
    from ondevice.store import Store

    onnxruntime.InferenceSession(str(bundled("encoder") / "model.onnx"))
    vectors = Encoder.load(bundled("encoder")).encode(["a walk over the hills"])
    with Store.open(Home(Path(home))) as store:
        found = store.verify()
    loop: list[int] = []
    thread = threading.Thread(target=lambda: loop.append(asyncio.run(_wait())))
    thread.start()
    thread.join()
    status = Path("/proc/self/task").glob("*/status")
    filters = {
        line for path in status for line in path.read_text().splitlines() if "Seccomp:" in line
    }
    channel.send(
        {
            "dimensions": int(vectors.shape[1]),
            "ledger": found,
            "loop": loop,
            "filters": sorted(filters),
            "socket": outcome(socket.socket),
        }
    )


def add(channel: Channel, *, terms: int) -> None:
    """Add what the caller sends, until it hangs up: a small engine."""
    total = 0
    for _ in range(terms):
        order, body = channel.receive(limit=64)
        total += order["n"] + len(body)
        channel.send({"total": total})


async def _wait() -> int:
    await asyncio.sleep(0)
    return await asyncio.to_thread(lambda: 7)
