"""The seam: what a backend says of itself, and what its live handle does for one application.

Everything around an engine is the same for each: what may travel, when it is handed over, who runs it and what comes
of it. An engine keeps messages, gives them to a worker, and hears what became of them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Sequence
from typing import Any, ClassVar

from bg_di.backends.capabilities import Capability
from bg_di.backends.messages import Accepted, Counts, Delivery, Entry, Message, StoredState
from bg_di.errors import BackendUnavailable
from bg_di.values import Seconds


class Backend(ABC):
    """Where tasks run: a frozen description, which applications may share.

    Attributes:
        capabilities: what it can do; whatever needs more is refused before it could be lost.
        runs_here: whether its tasks stay in the collection and run in the process. Such a backend is never opened.
        concurrency: how many tasks a worker runs at once.
        embedded: whether the application itself runs a worker.
        max_deliveries: so often an attempt is delivered, if its workers die, before it is dead.
        max_message_bytes: of one message.
        unknown_after: seconds (or a timedelta) that a task waits for a worker that knows it, before it is dead.
        longest: seconds (or a timedelta) after which a task that still runs is delivered again; None: it never is. One
            whose `timeout` is longer is refused.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset()
    runs_here: ClassVar[bool] = False

    concurrency: int
    embedded: bool
    max_deliveries: int
    max_message_bytes: int
    unknown_after: Seconds

    @property
    def longest(self) -> Seconds | None:
        """Seconds (or a timedelta) after which a task that still runs is delivered again; None: it never is."""
        return None

    @abstractmethod
    def open(self, application: str) -> "Engine":
        """The live handle of one application and the running event loop. It may wait to connect until it is used.

        With a capability "cancel", "listing", "dead" or "counts" it may be a thread without an event loop that opens
        it, to ask.

        Args:
            application: the name under which its tasks are kept; it sees no others.
        """


class Engine(ABC):
    """The live handle of a backend, for one application and event loop."""

    async def prepare(self) -> None:  # noqa: B027  # not every engine has something to make
        """Make what tasks are kept in. Called at start-up where no worker of this engine starts; by default nothing.

        Raises:
            BackendOccupied: it is somebody else's. The application does not start.
            BackendUnavailable: it cannot be made at the moment. It is made when tasks are handed over.
        """

    @abstractmethod
    async def accept(self, messages: Sequence[Message]) -> Sequence[Accepted | BackendUnavailable]:
        """Keep messages, in one go; when it returns, those that were accepted survive whatever is killed.

        Args:
            messages: to be kept, each for itself.

        Returns:
            For each message what became of it; `OutcomeUnknown` if it may have been taken all the same, any other
            `BackendUnavailable` if it has not.
        """

    @abstractmethod
    async def consume(
        self, names: Collection[str], *, version: int = 1, lost: Callable[[str, str, str], None]
    ) -> "Consumer":
        """Begin to work for an application.

        Args:
            names: of the tasks that this worker knows. No others are delivered to it.
            version: up to which it knows what is in their bodies. No later ones are delivered to it.
            lost: is called in the event loop with the id, the name and the reason of a task that the engine itself has
                made dead: it was delivered `max_deliveries` times, or nobody knew it for `unknown_after`.

        Raises:
            BackendUnavailable: it cannot be reached.
        """

    @abstractmethod
    async def close(self) -> None:
        """End what was opened. What is being accepted is awaited."""

    @abstractmethod
    def abandon(self) -> None:
        """End what was opened, when its event loop has been closed without `close`."""

    # Of backends with the capability "cancel".
    def cancel(self, task_id: str) -> bool:
        """Do not run a task that waits. Called from any thread.

        Args:
            task_id: of that task.

        Returns:
            Whether it waited, and will not run now.
        """
        raise NotImplementedError

    # Of backends with the capability "listing".
    def show(self, task_id: str) -> Entry | None:
        """A task as it stands; None if there is none of that `task_id`. Called from any thread."""
        raise NotImplementedError

    def entries(self, state: StoredState | None = None, *, limit: int) -> Sequence[Entry]:
        """The tasks that were accepted last, at most `limit`, in a `state` or in any. Called from any thread."""
        raise NotImplementedError

    # Of backends with the capability "dead".
    def retry(self, task_ids: Collection[str] | None = None) -> Sequence[str]:
        """Put dead tasks back, as if they had just been accepted. Called from any thread.

        Args:
            task_ids: of which; None: all that are dead.

        Returns:
            The ids of those that were dead, and for which no other task stands by its unique key.
        """
        raise NotImplementedError

    def prune(self, *, before: float, dead: bool = False) -> int:
        """Forget what has succeeded or was cancelled, or instead what has died. Called from any thread.

        An engine may keep nothing of what has ended well.

        Args:
            before: only what got into that state before this time.
            dead: what has died, instead.

        Returns:
            How many.
        """
        raise NotImplementedError

    # Of backends with the capability "counts".
    def counts(self) -> Counts:
        """How much there is to do. Called from any thread."""
        raise NotImplementedError

    # Of backends with the capability "transaction".
    def write(self, session: Any, message: Message, ended: Callable[[Accepted | None], None]) -> Callable[[], bool]:
        """Write a message in the transaction that a user's session is in, with whose commit it is accepted.

        Called where the session is used, and waits for nothing.

        Args:
            session: a SQLAlchemy session, sync or async.
            message: what is written.
            ended: called when the transaction has ended, where it does, with what became of the message; with None if
                it has not been committed.

        Returns:
            What takes the message back. It returns whether it came in time: then no commit accepts it any more.

        Raises:
            InvalidOptions: the session is none that this engine can write with, as it is on something else.
        """
        raise NotImplementedError

    def refuse_behind(self, session: Any) -> None:
        """Refuse at once what could not be accepted before a session has ended its transaction. It waits for nothing.

        Args:
            session: a SQLAlchemy session, sync or async, of the request whose tasks are to be accepted.

        Raises:
            BackendUnavailable: it holds a lock that `accept` would need, and what helps.
        """
        raise NotImplementedError


class Consumer(ABC):
    """A worker's side of an engine. What is said of a delivery is heard as long as it has not been lost; then True."""

    @abstractmethod
    async def receive(self, slots: int) -> Sequence[Delivery]:
        """Wait for deliveries, and take at most so many `slots`; none at all only after `stop`.

        If it is cancelled, what it has taken and not returned goes back at `stop`, at the latest.

        Raises:
            BackendUnavailable: there is nothing to be had at the moment; it may be called again.
        """

    @abstractmethod
    async def acknowledge(self, delivery: Delivery) -> bool:
        """The `delivery` has succeeded."""

    @abstractmethod
    async def reschedule(self, delivery: Delivery, *, delay: float, attempt: int, reason: str) -> bool:
        """Run the `delivery` again after `delay` seconds. Its deliveries are counted anew.

        Args:
            delivery: that has failed.
            delay: in seconds.
            attempt: how many attempts have been made.
            reason: why it failed.
        """

    @abstractmethod
    async def release(self, delivery: Delivery) -> bool:
        """The `delivery` has not been run to its end, and goes back as if it had not been delivered."""

    @abstractmethod
    async def bury(self, delivery: Delivery, *, attempt: int, reason: str) -> bool:
        """Keep the `delivery` with the `reason`, and do not run it again by itself; `attempt` have been made."""

    async def rest(self) -> None:  # noqa: B027  # not every engine gives what nobody has asked for
        """Take no more; what has been received can still be settled, and what has not goes back. By default nothing.

        Called before what runs has its last seconds, so that nothing waits here meanwhile that others could run.
        """

    @abstractmethod
    async def stop(self) -> None:
        """Take no more. Whatever is still in hand goes back as if it had not been delivered."""
