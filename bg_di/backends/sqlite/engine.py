"""A file as one application uses it in one event loop."""

import asyncio
import os
import time
from collections.abc import Callable, Collection, Sequence
from copy import copy
from functools import partial
from typing import Any, Final

from bg_di.backends.backend import Engine
from bg_di.backends.messages import Accepted, Counts, Entry, Message, StoredState
from bg_di.backends.sqlite.consumer import Lost, SqliteConsumer
from bg_di.backends.sqlite.file import TaskFile
from bg_di.backends.sqlite.heartbeat import Knowledge
from bg_di.backends.sqlite.session import SessionWriter
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.terms import Terms
from bg_di.backends.sqlite.thread import DatabaseThread
from bg_di.errors import BackendUnavailable

# Seconds between two looks whether the file is still in its place.
_WATCH: Final = 1.0


class SqliteEngine(Engine):
    """The tasks of an application on a file, which is opened, and made, when it is used first."""

    def __init__(self, path: str, application: str, terms: Terms) -> None:
        self._path = os.path.abspath(path)  # the process may change its folder
        self._terms = terms
        self._thread = DatabaseThread(self._path, application, busy_timeout=terms.busy_timeout)
        self._thread.every(_WATCH, TaskFile.watch)
        self._consumers: list[SqliteConsumer] = []
        self._sessions = SessionWriter(self._path, application, self._ring)

    async def prepare(self) -> None:
        """Make the file, and see that it can be used."""
        await asyncio.to_thread(self.counts)

    async def accept(self, messages: Sequence[Message]) -> Sequence[Accepted | BackendUnavailable]:
        """Keep messages, all of them or none; when it returns, those that were accepted have reached the disk.

        It is done also if whoever waits for it is cancelled.
        """
        try:
            return await self._thread.run(partial(Store.accept, messages=messages), then=self._say_more)
        except BackendUnavailable as error:
            return [copy(error) for _ in messages]

    async def consume(self, names: Collection[str], *, version: int = 1, lost: Lost) -> SqliteConsumer:
        """Begin to work for the application.

        Args:
            names, version: what the worker knows; nothing else is delivered to it.
            lost: is called in the event loop with id, name and reason of a task that this consumer has made dead.

        Raises:
            BackendUnavailable: the file cannot be used, or no lock file can be made beside it.
        """
        knowledge = Knowledge(names=frozenset(names), version=version)
        await self._thread.run(lambda store: store.know(knowledge.names, version=version, now=time.time()))
        consumer = SqliteConsumer(
            self._path, self._thread, self._terms, knowledge=knowledge, lost=lost, ring=self._ring
        )
        self._consumers = [*(each for each in self._consumers if not each.has_stopped), consumer]
        return consumer

    async def close(self) -> None:
        """Stop consumers, do what is being accepted, and let go of the file."""
        for consumer in self._consumers:
            await consumer.stop()
        await self._thread.aclose()

    def abandon(self) -> None:
        """The same, when the event loop has been closed without `close`."""
        for consumer in self._consumers:
            consumer.abandon()
        self._thread.close()

    def cancel(self, task_id: str) -> bool:
        """Do not run a task that waits; return whether it waited. Called from any thread."""
        return self._thread.call(lambda store: store.cancel(task_id, now=time.time()))

    def show(self, task_id: str) -> Entry | None:
        """A task as it stands, or the one that stands for it by its unique key. Called from any thread."""
        return self._thread.call(lambda store: store.show(task_id))

    def entries(self, state: StoredState | None = None, *, limit: int) -> Sequence[Entry]:
        """The tasks that were accepted last, in a state or in any. Called from any thread."""
        return self._thread.call(lambda store: store.entries(state, limit=limit))

    def counts(self) -> Counts:
        """How much there is to do. Called from any thread."""
        return self._thread.call(lambda store: store.counts(now=time.time()))

    def retry(self, task_ids: Collection[str] | None = None) -> Sequence[str]:
        """Put dead tasks back, as if they had just been accepted; None: all of them. Called from any thread."""
        wanted = self._dead() if task_ids is None else task_ids
        back = [
            task_id for task_id in wanted if self._thread.call(partial(Store.retry, task_id=task_id, now=time.time()))
        ]
        self._ring()
        return back

    def _dead(self) -> list[str]:
        return [entry.task_id for entry in self.entries("dead", limit=self.counts().dead)]

    def prune(self, *, before: float, dead: bool = False) -> int:
        """Forget what has succeeded or was cancelled `before`, or instead what has died. Called from any thread.

        It is done in steps, between which others may write.
        """
        step: Callable[[Store], int] = partial(Store.prune, before=before, now=time.time(), dead=dead)
        pruned = 0
        while some := self._thread.call(step):
            pruned += some
        return pruned

    def write(self, session: Any, message: Message, ended: Callable[[Accepted | None], None]) -> Callable[[], bool]:
        """Write a message in the transaction that a user's session is in, with whose commit it is accepted.

        Args:
            session: a SQLAlchemy session on this file, sync or async.
            message: what is written.
            ended: called where the transaction ends; with None if it has not been committed.

        Returns:
            What takes the message back. It returns whether it came in time.

        Raises:
            InvalidOptions: the session is not on this file.
        """
        return self._sessions.write(session, message, ended)

    def refuse_behind(self, session: Any) -> None:
        """Refuse at once what could not be accepted before a session has ended its transaction.

        Raises:
            BackendUnavailable: it holds the file's write lock.
        """
        self._sessions.refuse_behind(session)

    def _say_more(self, accepted: Sequence[Accepted]) -> None:
        # In the thread, as whoever has waited for it may have given up.
        if any(each.is_new for each in accepted):
            self._ring()

    def _ring(self) -> None:
        for consumer in self._consumers:
            consumer.hear_of_more()
