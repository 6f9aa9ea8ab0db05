"""What goes to an engine and comes back, as frozen records.

All times are seconds of the wall clock, since 1970 in UTC.
"""

from dataclasses import dataclass, field
from typing import Literal

# "accepted": it waits for a worker, for the first time or again.
StoredState = Literal["accepted", "running", "succeeded", "cancelled", "dead"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A task as it is handed over.

    Attributes:
        task_id: its own; handing the same one over again adds nothing, where the backend is "idempotent".
        name: under which workers know it.
        version: of what is in `body`; only workers that know it take the task.
        added_at, due_at: when it was added, and before which time it does not run.
        unique_key, unique_until: no other task of this name with this key is accepted while this one waits and runs,
            nor until that time if it has succeeded. Both or neither.
    """

    task_id: str
    name: str
    body: bytes = field(repr=False)
    added_at: float
    due_at: float
    version: int = 1
    unique_key: str | None = None
    unique_until: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What became of a message.

    Attributes:
        task_id: of the task that stands for it.
        is_new: whether that is the message itself, accepted now.
    """

    task_id: str
    is_new: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A task in the hands of a worker, until it says what became of it or loses it.

    Attributes:
        token: by which the engine tells this delivery from every other one of the task.
        added_at: when it was added, or put back by `Engine.retry`.
        attempt: how many attempts have been made before.
        delivery: how often this attempt has been delivered, this time included.
    """

    task_id: str
    token: int
    name: str
    version: int
    body: bytes = field(repr=False)
    added_at: float
    due_at: float
    attempt: int
    delivery: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """A task as it stands on an engine, without its arguments.

    Attributes:
        since: when it got into its state.
        added_at: when it was added, or put back by `Engine.retry`.
        attempt: how many attempts have been made, as far as the engine was told.
        deliveries: how often the next or running attempt has been delivered.
        owner, lease_until: whose it is, and until when, while it runs.
        reason: why it is dead or came back: an error, or the deliveries that were lost.
    """

    task_id: str
    name: str
    version: int
    state: StoredState
    since: float
    added_at: float
    due_at: float
    attempt: int
    deliveries: int
    owner: str | None
    lease_until: float | None
    unique_key: str | None
    unique_until: float | None
    reason: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """How much there is to do. What an engine cannot tell is None.

    Attributes:
        waiting: accepted and not running, delayed ones included.
        oldest: for how many seconds the one that is due for longest has waited; 0 if none is due.
    """

    waiting: int
    running: int | None
    dead: int
    oldest: float | None
