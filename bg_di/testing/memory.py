"""Tasks as an engine keeps them, in the memory of the process."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Any

from bg_di.backends import Accepted, Counts, Delivery, Entry, Message, StoredState


@dataclass
class Kept:
    """A message, and how it stands.

    Attributes:
        due_at: before which it does not run.
        since: when it got into its state.
        attempt: how many attempts have been made.
        delivery: how often the next or running one was delivered.
        token: of its last delivery.
    """

    message: Message
    due_at: float = 0.0
    since: float = field(default_factory=time.time)
    state: StoredState = "accepted"
    attempt: int = 0
    delivery: int = 0
    token: int = 0
    reason: str | None = None

    def holds(self, name: str, unique_key: str | None, now: float) -> bool:
        """Whether no other task of that name with that key is accepted."""
        mine = self.message
        same = unique_key is not None and (mine.name, mine.unique_key) == (name, unique_key)
        remembered = self.state == "succeeded" and (mine.unique_until or 0) > now
        return same and (self.state in {"accepted", "running"} or remembered)

    def entry(self) -> Entry:
        """What is told of it."""
        message = self.message
        return Entry(
            task_id=message.task_id,
            name=message.name,
            version=message.version,
            state=self.state,
            since=self.since,
            added_at=message.added_at,
            due_at=self.due_at,
            attempt=self.attempt,
            deliveries=self.delivery,
            owner=None,
            lease_until=None,
            unique_key=message.unique_key,
            unique_until=message.unique_until,
            reason=self.reason,
        )


class Memory:
    """The tasks of one application on one engine, which several event loops may use at once.

    Args:
        now: tells the time.
    """

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self.now = now
        self.kept: dict[str, Kept] = {}
        # Of what was not accepted, the task that stands for it.
        self.aliases: dict[str, str] = {}
        self._changing = Lock()

    def accept(self, message: Message) -> Accepted:
        """Keep a message, unless another one stands for it."""
        with self._changing:
            stands = next((task_id for task_id, kept in self.kept.items() if self._stands_for(kept, message)), None)
            if stands is None:
                self.kept[message.task_id] = Kept(message, due_at=message.due_at, since=self.now())
            elif stands != message.task_id:
                self.aliases[message.task_id] = stands
        return Accepted(task_id=stands or message.task_id, is_new=stands is None)

    def _stands_for(self, kept: Kept, message: Message) -> bool:
        mine = kept.message
        return mine.task_id == message.task_id or kept.holds(message.name, message.unique_key, self.now())

    def meant(self, task_id: str) -> Kept | None:
        """The task of an id, or the one that stands for it."""
        return self.kept.get(self.aliases.get(task_id, task_id))

    def change(self, task_id: str, **changes: Any) -> None:
        """Note how a task stands now."""
        kept = self.kept[task_id]
        for key, value in {**changes, "since": self.now()}.items():
            setattr(kept, key, value)

    def deliver(self, kept: Kept) -> Delivery | None:
        """Give a task to a worker; None if it does not wait any more."""
        message = kept.message
        with self._changing:
            if kept.state != "accepted":
                return None
            self.change(message.task_id, state="running", token=kept.token + 1, delivery=kept.delivery + 1)
        return Delivery(
            task_id=message.task_id,
            token=kept.token,
            name=message.name,
            version=message.version,
            body=message.body,
            added_at=message.added_at,
            due_at=kept.due_at,
            attempt=kept.attempt,
            delivery=kept.delivery,
        )

    def cancel(self, task_id: str) -> bool:
        """As `bg_di.backend.Engine` has it, and so the others."""
        kept = self.meant(task_id)
        if kept is None or kept.state != "accepted":
            return False
        self.change(kept.message.task_id, state="cancelled")
        return True

    def retry(self, task_id: str) -> bool:
        kept, now = self.meant(task_id), self.now()
        if kept is None or kept.state != "dead":
            return False
        if any(other.holds(kept.message.name, kept.message.unique_key, now) for other in list(self.kept.values())):
            return False
        kept.message = replace(kept.message, added_at=now)
        self.change(kept.message.task_id, state="accepted", due_at=now, attempt=0, delivery=0, reason=None)
        return True

    def prune(self, *, before: float, dead: bool) -> int:
        states = {"dead"} if dead else {"succeeded", "cancelled"}
        ended = [task_id for task_id, kept in list(self.kept.items()) if kept.state in states and kept.since < before]
        for task_id in ended:
            del self.kept[task_id]
        return len(ended)

    def counts(self) -> Counts:
        every = list(self.kept.values())
        states = [kept.state for kept in every]
        waiting = [self.now() - kept.due_at for kept in every if kept.state == "accepted"]
        return Counts(
            waiting=states.count("accepted"),
            running=states.count("running"),
            dead=states.count("dead"),
            oldest=max(0.0, *waiting) if waiting else 0.0,
        )
