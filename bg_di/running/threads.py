"""The threads of sync tasks."""

import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

import anyio.to_thread
from anyio import CapacityLimiter
from anyio.lowlevel import RunVar

from bg_di.declaring.binding import name_of


class Threads:
    """The threads of an application's sync tasks, apart from those of sync handlers.

    A limiter of anyio belongs to one event loop, and a test client makes a loop for each request: the limiter
    is made where it is first needed in a loop.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._limiter: RunVar[CapacityLimiter] = RunVar("bg_di.threads")

    async def run(self, func: Callable[[], Any]) -> Any:
        """Call `func` in a thread; wait for one as long as `limit` of them are busy."""
        outcome = await anyio.to_thread.run_sync(_outcome, func, limiter=self._of_this_loop())
        result, error = outcome
        outcome.clear()
        if error is not None:
            try:
                raise error
            finally:
                # The error's traceback has this frame, which must not have the error.
                del error
        return result

    async def call(self, call: partial[Any]) -> None:
        """Make a call in a thread; if it returns an awaitable, await that."""
        result = await self.run(call)
        if inspect.isawaitable(result):
            await result
        elif inspect.isgenerator(result) or inspect.isasyncgen(result):
            raise TypeError(f"{name_of(call)} returned a generator, which nobody iterates: none of its code has run")

    def _of_this_loop(self) -> CapacityLimiter:
        try:
            return self._limiter.get()
        except LookupError:
            limiter = CapacityLimiter(self._limit)
            self._limiter.set(limiter)
            return limiter


def _outcome(func: Callable[[], Any]) -> list[Any]:
    """What `func` returns and what it raises, one of them None, to be taken out of the list.

    Raised through anyio, an error would stay in a cycle with the future that carried it; returned as it is, trio
    would take a coroutine for a mistake, and its idle thread would keep it.
    """
    try:
        return [func(), None]
    except BaseException as error:  # noqa: BLE001  # raised again in the event loop
        return [None, error]
