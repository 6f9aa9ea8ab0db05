"""The thread that uses the file, for whoever must not wait in an event loop and for whoever may."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from queue import Empty, SimpleQueue
from typing import Any, TypeVar

from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.store import Store
from bg_di.errors import BackendUnavailable

T = TypeVar("T")


class _Awaited(Operation):
    """One with somebody who waits for it: in an event loop, or in another thread, where `loop` is None."""

    __slots__ = ("future", "loop", "then")

    def __init__(
        self,
        work: Callable[[Store], Any],
        future: asyncio.Future[Any] | Future[Any],
        loop: asyncio.AbstractEventLoop | None,
        then: Callable[[Any], object] | None = None,
    ) -> None:
        super().__init__(work)
        self.future = future
        self.loop = loop
        self.then = then

    def note(self) -> None:
        if self.then is not None and self.error is None:
            self.then(self.result)

    def settle(self) -> None:
        if self.future.done():  # given up; it has been done all the same
            return
        if self.error is None:
            self.future.set_result(self.result)
        else:
            self.future.set_exception(self.error)


class _Repeated:
    """What the thread does by itself, every so many seconds."""

    __slots__ = ("_next", "_seconds", "_work")

    def __init__(self, seconds: float, work: Callable[[TaskFile], None]) -> None:
        self._seconds = seconds
        self._work = work
        self._next = time.monotonic()

    def wait(self) -> float:
        return self._next - time.monotonic()

    def do(self, file: TaskFile) -> None:
        self._next = time.monotonic() + self._seconds
        self._work(file)


class DatabaseThread:
    """Does with the store what it is told, in order. What comes while it writes is written together, in one commit.

    Thread and file are started and opened by the first operation, and the file again by a later one after it could not
    be used: nothing has to be restarted when its disk has space again, its lock is released or it is back in its place.
    After a fork the child needs one of its own.

    Args:
        path: the file; made where there is none, but not again where it has been deleted.
        application: whose tasks.
        busy_timeout: seconds to wait for other processes that write; well under a lease, as nothing is renewed
            meanwhile.
    """

    def __init__(self, path: str, application: str, *, busy_timeout: float = 2.0) -> None:
        self._path = os.path.abspath(path)  # the process may change its folder
        self._file = TaskFile(self._path, application, busy_timeout=busy_timeout)
        self._process: int | None = None  # in which it has been started
        # Not a condition around a list: whoever submits would wake the thread while it still holds the lock of it.
        self._submitted: SimpleQueue[_Awaited | None] = SimpleQueue()  # None: something else has changed
        self._submitting = threading.RLock()
        self._repeated: list[_Repeated] = []
        self._closed = False
        # A daemon, as nobody closes what a test client without a lifespan has opened.
        self._thread = threading.Thread(target=self._work, name=f"bg_di {path}", daemon=True)

    async def run(self, work: Callable[[Store], T], *, then: Callable[[T], object] | None = None) -> T:
        """Do something with the store, from asyncio. It is done also if whoever waits for it is cancelled.

        Args:
            work: called in the thread, in a transaction; if it raises, what it wrote is undone.
            then: called in the thread with what `work` returned, as soon as that is written, and before the next
                transaction; must not raise.

        Raises:
            BackendUnavailable: the file cannot be used, and nothing has been written.
            OutcomeUnknown: it failed at the commit, and everything may have been written or nothing.
            Exception: what `work` raised.
        """
        loop = asyncio.get_running_loop()
        future: asyncio.Future[T] = loop.create_future()
        self._submit(_Awaited(work, future, loop, then))
        return await future

    def call(self, work: Callable[[Store], T]) -> T:
        """The same as `run` for whoever may wait, from any other thread."""
        future: Future[T] = Future()
        self._submit(_Awaited(work, future, None))
        return future.result()

    def every(self, seconds: float, work: Callable[[TaskFile], None]) -> Callable[[], None]:
        """Do something in the thread every so many seconds, for the first time at once, whatever event loops do.

        Args:
            work: called with the file, outside of any transaction; must not raise.

        Returns:
            What ends it. What it does at the moment is done before anything that is submitted afterwards.
        """
        repeated = _Repeated(seconds, work)
        self._repeated.append(repeated)
        self._submitted.put(None)
        return lambda: self._repeated.remove(repeated)

    async def check_identity(self) -> None:
        """See that the file is there and can be written to.

        Raises:
            BackendUnavailable: it has been deleted or moved away, or cannot be used.
        """
        await self.run(lambda store: None)

    def close(self) -> None:
        """Do what has been submitted, take nothing more, and let go of the file. In an event loop use `aclose`."""
        if self._is_elsewhere():
            return
        with self._submitting:
            self._closed = True
        self._submitted.put(None)
        if self._process is not None:
            self._thread.join()

    async def aclose(self) -> None:
        """The same as `close`, from asyncio."""
        await asyncio.to_thread(self.close)

    def _is_elsewhere(self) -> bool:
        return self._process not in {None, os.getpid()}

    def _submit(self, operation: _Awaited) -> None:
        if self._is_elsewhere():
            raise BackendUnavailable(self._path, "was opened before this process was forked: open it afterwards")
        with self._submitting:  # nothing is submitted once the thread may have looked for the last time
            if self._closed:
                raise BackendUnavailable(self._path, "has been closed by this application")
            if self._process is None:
                self._process = os.getpid()
                self._thread.start()
            self._submitted.put(operation)

    def _work(self) -> None:
        while not (self._closed and self._submitted.empty()):
            if group := self._next():
                self._file.execute(group)
                _settle(group)
            self._repeat()
        self._file.close()

    def _next(self) -> list[_Awaited]:
        """What is to be done now, all of it; nothing, where something has changed or is to be repeated."""
        try:
            submitted = [self._submitted.get(timeout=self._pause())]
        except Empty:
            return []
        submitted += [self._submitted.get() for _ in range(self._submitted.qsize())]
        return [operation for operation in submitted if operation is not None]

    def _pause(self) -> float | None:
        """Seconds until something is to be repeated."""
        if not self._repeated:
            return None
        return max(0.0, min((each.wait() for each in tuple(self._repeated)), default=0.0))

    def _repeat(self) -> None:
        for each in tuple(self._repeated):
            if each.wait() <= 0:
                each.do(self._file)


def _settle(group: Sequence[_Awaited]) -> None:
    """Tell everybody what came of it; an event loop is woken once."""
    loops: dict[asyncio.AbstractEventLoop | None, list[_Awaited]] = {}
    for operation in group:
        operation.note()
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
