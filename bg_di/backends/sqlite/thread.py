"""The thread that uses the file, for whoever must not wait in an event loop and for whoever may."""

import asyncio
import os
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from typing import Any, TypeVar

from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.store import Store
from bg_di.errors import BackendUnavailable

T = TypeVar("T")


class _Awaited(Operation):
    """One with somebody who waits for it: in an event loop, or in another thread, where `loop` is None."""

    __slots__ = ("future", "loop")

    def __init__(
        self,
        work: Callable[[Store], Any],
        future: asyncio.Future[Any] | Future[Any],
        loop: asyncio.AbstractEventLoop | None,
    ) -> None:
        super().__init__(work)
        self.future = future
        self.loop = loop

    def settle(self) -> None:
        if self.future.done():  # given up; it has been done all the same
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class DatabaseThread:
    """Does with the store what it is told, in order. What comes while it writes is written together, in one commit.

    The file is opened by the first operation, and again by a later one after it could not be used: nothing has to be
    restarted when its disk has space again, its lock is released or it is back in its place. After a fork the child
    needs one of its own.

    Args:
        path: the file; made where there is none, but not again where it has been deleted.
        application: whose tasks.
        busy_timeout: seconds to wait for other processes that write; well under a lease, as nothing is renewed
            meanwhile.
    """

    def __init__(self, path: str, application: str, *, busy_timeout: float = 2.0) -> None:
        self._path = os.path.abspath(path)  # the process may change its folder
        self._file = TaskFile(self._path, application, busy_timeout=busy_timeout)
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._submitted: list[_Awaited] = []
        self._closed = False
        # A daemon, as nobody closes what a test client without a lifespan has opened.
        self._thread = threading.Thread(target=self._work, name=f"bg_di {path}", daemon=True)
        self._thread.start()

    async def run(self, work: Callable[[Store], T]) -> T:
        """Do something with the store, from asyncio. It is done also if whoever waits for it is cancelled.

        Args:
            work: called in the thread, in a transaction; if it raises, what it wrote is undone.

        Raises:
            BackendUnavailable: the file cannot be used, and nothing has been written.
            OutcomeUnknown: it failed at the commit, and everything may have been written or nothing.
            Exception: what `work` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._submit(_Awaited(work, future, loop))
        return await future

    def call(self, work: Callable[[Store], T]) -> T:
        """The same as `run` for whoever may wait, from any other thread."""
        future: Future[T] = Future()
        self._submit(_Awaited(work, future, None))
        return future.result()

    async def check_identity(self) -> None:
        """See that the file is there and can be written to.

        Raises:
            BackendUnavailable: it has been deleted or moved away, or cannot be used.
        """
        await self.run(lambda store: None)

    def close(self) -> None:
        """Do what has been submitted, take nothing more, and let go of the file. In an event loop use `aclose`."""
        if self._process != os.getpid():
            return
        with self._changed:
            self._closed = True
            self._changed.notify()
        self._thread.join()

    async def aclose(self) -> None:
        """The same as `close`, from asyncio."""
        await asyncio.to_thread(self.close)

    def _submit(self, operation: _Awaited) -> None:
        if self._process != os.getpid():
            raise BackendUnavailable(self._path, "was opened before this process was forked: open it afterwards")
        with self._changed:
            if self._closed:
                raise BackendUnavailable(self._path, "has been closed by this application")
            self._submitted.append(operation)
            self._changed.notify()

    def _work(self) -> None:
        while group := self._next():
            self._file.execute(group)
            _settle(group)
        self._file.close()

    def _next(self) -> list[_Awaited]:
        with self._changed:
            self._changed.wait_for(lambda: self._submitted or self._closed)
            group, self._submitted = self._submitted, []
            return group


def _settle(group: Sequence[_Awaited]) -> None:
    """Tell everybody what came of it; an event loop is woken once."""
    loops: dict[asyncio.AbstractEventLoop | None, list[_Awaited]] = {}
    for operation in group:
        loops.setdefault(operation.loop, []).append(operation)
    for loop, operations in loops.items():
        if loop is None:
            _settle_here(operations)
        else:
            with suppress(RuntimeError):  # the loop is closed, and nobody waits any more
                loop.call_soon_threadsafe(_settle_here, operations)


def _settle_here(operations: Sequence[_Awaited]) -> None:
    for operation in operations:
        operation.settle()
