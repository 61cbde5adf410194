"""The one thread that owns the session: the UI thread asks, awaits, and never blocks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

if TYPE_CHECKING:
    from ondevice.service.session import Session

P = ParamSpec("P")
T = TypeVar("T")


class Engine:
    """Opens a session at the first call, in its own thread, and runs every call there in turn."""

    def __init__(self, opener: Callable[[], AbstractContextManager["Session"]]) -> None:
        self._opener = opener
        self._stack = ExitStack()
        self._session: Session | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="engine")
        self._waiting: set[Future[Any]] = set()
        self._closing: Future[None] | None = None

    async def call(
        self, work: Callable[Concatenate["Session", P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` in the engine's thread and return what it returns."""
        if self._closing is not None:
            raise asyncio.CancelledError  # whoever asks is going away as well
        future = self._thread.submit(lambda: work(self._open(), *args, **kwargs))
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)
        return await asyncio.wrap_future(future)

    def stop(self) -> None:
        """Drop what has not begun, and close the session after what runs. Returns at once."""
        if self._closing is None:
            for future in list(self._waiting):
                future.cancel()
            self._closing = self._thread.submit(self._stack.close)
            self._thread.shutdown(wait=False)

    def close(self) -> None:
        """Stop, and wait until the session is closed."""
        self.stop()
        if self._closing is not None:
            self._closing.result()
        self._thread.shutdown()

    def _open(self) -> "Session":
        if self._session is None:
            self._session = self._stack.enter_context(self._opener())
        return self._session
