"""The one thread that owns the session: the UI thread asks, awaits, and never blocks."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from typing import TYPE_CHECKING, Concatenate, ParamSpec, TypeVar

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

    async def call(
        self, work: Callable[Concatenate["Session", P], T], *args: P.args, **kwargs: P.kwargs
    ) -> T:
        """Run `work(session, …)` in the engine's thread and return what it returns."""
        return await asyncio.wrap_future(
            self._thread.submit(lambda: work(self._open(), *args, **kwargs))
        )

    def close(self) -> None:
        """Finish what runs, close the session, end the thread."""
        self._thread.submit(self._stack.close).result()
        self._thread.shutdown()

    def _open(self) -> "Session":
        if self._session is None:
            self._session = self._stack.enter_context(self._opener())
        return self._session
