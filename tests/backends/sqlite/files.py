"""What the tests of the SQLite engine share: a file, messages for it, and a thread that is held up."""

import asyncio
import resource
import sqlite3
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bg_di.backends import Delivery, Message
from bg_di.backends.sqlite import schema
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.thread import DatabaseThread

NAME = "shop:mail"


def connect(path: Path, *, busy_timeout: float = 10, check: bool = True) -> sqlite3.Connection:
    return schema.connect(str(path), busy_timeout=busy_timeout, check=check)


def message(task_id: str, *, at: float = 0, **options: Any) -> Message:
    values: dict[str, Any] = {"task_id": task_id, "name": NAME, "body": b"{}", "added_at": at, "due_at": at}
    return Message(**values | options)


def claim(
    store: Store,
    *,
    owner: str = "worker",
    names: Collection[str] = (NAME,),
    version: int = 1,
    slots: int = 100,
    now: float = 0,
    lease: float = 60,
) -> list[Delivery]:
    return store.claim(owner, names=names, version=version, slots=slots, now=now, lease=lease)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.task_id for delivery in deliveries]


@contextmanager
def no_file_beyond(size: int) -> Iterator[None]:
    """Of this process: writing past it fails."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def until(happens: Callable[[], object]) -> None:
    """Let others go on until something is so."""
    async with asyncio.timeout(30):
        while not happens():
            await asyncio.sleep(0.01)


class Blocked:
    """Keeps the thread busy until it is let go."""

    def __init__(self, thread: DatabaseThread) -> None:
        self._started, self._go = threading.Event(), threading.Event()
        self._caller = threading.Thread(target=thread.call, args=(self._block,))
        self._caller.start()
        assert self._started.wait(10)

    def _block(self, store: Store) -> None:
        self._started.set()
        assert self._go.wait(10)

    def let_go(self) -> None:
        self._go.set()
        self._caller.join()
