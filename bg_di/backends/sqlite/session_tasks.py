"""What waits for the transactions of a user's session: written when one commits, gone when it does not.

It is written at the last moment, when SQLAlchemy says that a commit has begun. Only there may what belongs to an async
session wait, and until then nothing of ours holds the file's lock or has to be undone.
"""

from collections.abc import Callable, Sequence
from functools import partial
from threading import Lock
from typing import Any
from weakref import ref

from bg_di.backends.messages import Accepted, Message
from bg_di.backends.sqlite.store import Store


class SessionTask:
    """A message that waits for a commit.

    Attributes:
        transaction: with which it is gone. What keeps it is the session, and nothing here keeps that.
        outcome: as of now, if it has been written.
    """

    __slots__ = ("_message", "ended", "outcome", "transaction")

    def __init__(self, message: Message, ended: Callable[[Accepted | None], None]) -> None:
        self._message = message
        self.ended = ended
        self.transaction: Callable[[], Any] = lambda: None
        self.outcome: Accepted | None = None

    @property
    def task_id(self) -> str:
        return self._message.task_id

    def write(self, store: Store) -> None:
        [accepted] = store.accept([self._message])
        task_id = accepted.task_id
        # It may have been written before, in the same transaction.
        self.outcome = Accepted(task_id=task_id, is_new=task_id == self.task_id)


class SessionTasks:
    """What waits for the transactions of one session.

    It listens for as long as the session is there: to stop while listeners are called breaks the user's commit.

    Args:
        session: of the sync kind.
        write: writes tasks, and cancels others, in the session's transaction.
        ring: called when something was accepted.
    """

    def __init__(
        self,
        session: Any,
        write: Callable[[Any, Sequence[SessionTask], Sequence[str]], None],
        ring: Callable[[], None],
    ) -> None:
        from sqlalchemy import event  # where there is a session, it is installed

        self._write = write
        self._ring = ring
        self._waiting: list[SessionTask] = []
        # Written in a transaction that goes on, and taken back since.
        self._taken_back: list[str] = []
        self._is_committing = False
        # A commit may go on in one thread while a task is cancelled in another.
        self._lock = Lock()
        event.listen(session, "before_commit", self._before_commit)
        event.listen(session, "after_commit", self._after_commit)
        event.listen(session, "after_rollback", self._after_rollback)
        event.listen(session, "after_transaction_end", self._after_end)

    def add(self, session: Any, task: SessionTask) -> Callable[[], bool]:
        if not session.in_transaction():
            session.begin()
        task.transaction = ref(session.get_nested_transaction() or session.get_transaction())
        if self._is_committing:  # by a listener, or by what is flushed
            self._write(session, [task], ())
        with self._lock:
            self._waiting.append(task)
        return partial(self._take_back, task)

    def _take_back(self, task: SessionTask) -> bool:
        with self._lock:
            if self._is_committing or task not in self._waiting:
                return False
            self._waiting.remove(task)
            if task.outcome is not None and task.outcome.is_new:
                self._taken_back.append(task.outcome.task_id)
            return True

    def _before_commit(self, session: Any) -> None:
        """A commit begins, of a savepoint or of the whole. What it finds written does no harm to write again."""
        with self._lock:
            waiting, taken_back = tuple(self._waiting), tuple(self._taken_back)
            self._is_committing = session.get_nested_transaction() is None
        try:
            if waiting or taken_back:
                self._write(session, waiting, taken_back)
        except BaseException:
            self._is_committing = False
            raise

    def _after_commit(self, session: Any) -> None:
        savepoint = session.get_nested_transaction()
        with self._lock:
            if savepoint is not None:
                for task in self._of(savepoint):
                    task.transaction = ref(savepoint.parent)
                return
            committed, self._waiting = self._waiting, []
        for task in committed:
            task.ended(task.outcome)
        if committed:
            self._ring()

    def _after_rollback(self, session: Any) -> None:
        self._is_committing = False

    def _after_end(self, session: Any, transaction: Any) -> None:
        with self._lock:
            gone = self._of(transaction)
            self._waiting = [task for task in self._waiting if task not in gone]
            if transaction.parent is None:
                self._is_committing = False
                self._taken_back.clear()
        for task in gone:
            task.ended(None)

    def _of(self, transaction: Any) -> list[SessionTask]:
        return [task for task in self._waiting if task.transaction() is transaction]
