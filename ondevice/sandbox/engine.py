"""Start a locked child: for a program that needs private data but must not be locked itself.

The child is a fresh interpreter, so no thread and no open file of the caller comes with it. It
locks itself before it loads the function it was started for.
"""

import importlib
import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ondevice.errors import OnDeviceError
from ondevice.sandbox import lock, wire
from ondevice.sandbox.wire import Channel

_BOOT = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[2]); "
    "from ondevice.sandbox.engine import serve; serve(int(sys.argv[1]))"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Child:
    """A child that runs; talk to it over `channel`."""

    channel: Channel
    process: "subprocess.Popen[bytes]"

    def close(self, *, seconds: float = 10.0) -> int:
        """Hang up, wait for its end, and return its exit code; one that hangs is killed."""
        self.channel.close()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.process.kill()
            return self.process.wait()


def spawn(
    target: str, plan: lock.Plan | None, *, keep: tuple[int, ...] = (), **given: Any
) -> Child:
    """Run `function(channel, **given)` in a locked child and return at once.

    Args:
        target: "package.module:function"; loaded in the child after its lock.
        plan: what stays allowed there; None for a function that locks itself.
        keep: descriptors of this process that the child gets, under the same numbers.
        given: arguments, as JSON has them.

    Raises:
        OnDeviceError: this process may start no other one: it is locked itself.
    """
    mine, its = wire.pair()
    argv = [sys.executable, "-c", _BOOT, str(its.handle), json.dumps(sys.path)]
    try:
        process = subprocess.Popen(
            argv, pass_fds=(its.handle, *keep), stdin=subprocess.DEVNULL, start_new_session=True
        )
    except OSError as error:
        mine.close()
        raise OnDeviceError(
            f"this process may start no other one: {error.strerror}",
            hint="start the child before the lock",
        ) from error
    finally:
        its.close()
    child = Child(channel=mine, process=process)
    child.channel.send(
        {
            "target": target,
            "change": [str(path) for path in plan.change] if plan else [],
            "read": [str(path) for path in plan.read] if plan else [],
            "locked": plan is not None,
            "keep": list(keep),
            "given": given,
        }
    )
    return child


def serve(handle: int) -> None:
    """The child's whole life; called by `spawn` in a fresh interpreter."""
    channel = wire.adopt(handle)
    order, _ = channel.receive()
    if order["locked"]:
        lock.apply(
            lock.Plan(
                change=tuple(Path(path) for path in order["change"]),
                read=tuple(Path(path) for path in order["read"]),
                keep={handle, *order["keep"]},
            )
        )
    module, _, name = order["target"].partition(":")
    getattr(importlib.import_module(module), name)(channel, **order["given"])
