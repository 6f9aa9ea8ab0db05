"""What an engine on SQLite cannot do without: the insert and the commit, alone or behind a thread and nothing else."""

import asyncio
import queue
import sqlite3
import threading
from pathlib import Path
from typing import Any

from benchmarks.engines.application import NAME
from bg_di.backends import Message
from bg_di.backends.sqlite import schema, statements


class BareCommit:
    """The same statement in the same tables as bg_di's, with the same guarantee, and nothing around it."""

    def __init__(self, path: Path) -> None:
        self._connection: sqlite3.Connection = schema.connect(str(path), busy_timeout=2.0)

    def accept(self, message: Message) -> None:
        """Insert and commit."""
        self._connection.execute("BEGIN IMMEDIATE")
        self._connection.execute(
            statements.ACCEPT,
            {
                "application": NAME,
                "task_id": message.task_id,
                "name": message.name,
                "version": message.version,
                "body": message.body,
                "now": message.added_at,
                "due_at": message.due_at,
                "unique_key": message.unique_key,
                "unique_until": message.unique_until,
            },
        )
        self._connection.execute("COMMIT")

    def close(self) -> None:
        self._connection.close()


class BareThread:
    """The same, awaited: a thread with a queue."""

    def __init__(self, path: Path) -> None:
        self._commit = BareCommit(path)
        self._loop = asyncio.get_running_loop()
        self._submitted: queue.SimpleQueue[tuple[Message, asyncio.Future[Any]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work)
        self._thread.start()

    async def accept(self, message: Message) -> None:
        """Have it inserted and committed."""
        future = self._loop.create_future()
        self._submitted.put((message, future))
        await future

    async def close(self) -> None:
        self._submitted.put(None)
        await asyncio.to_thread(self._thread.join)
        self._commit.close()

    def _work(self) -> None:
        while (submitted := self._submitted.get()) is not None:
            message, future = submitted
            self._commit.accept(message)
            self._loop.call_soon_threadsafe(future.set_result, None)
