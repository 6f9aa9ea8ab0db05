"""What goes to an engine and comes back, as frozen records.

All times are seconds of the wall clock, since 1970 in UTC.
"""

from dataclasses import dataclass, field
from typing import Literal

StoredState = Literal["accepted", "running", "succeeded", "cancelled", "dead"]
"""How a task stands on an engine. ``"accepted"``: it waits for a worker, for the first time or again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A task as it is handed over.

    Attributes:
        task_id: its own; handing the same one over again adds nothing, where the backend is "idempotent".
        name: under which workers know it.
        body: the call and what a worker must know around it; kept and given back byte for byte.
        added_at: when it was added.
        due_at: before which time it does not run.
        version: of what is in `body`; only workers that know it take the task.
        unique_key: no other task of this name with this key is accepted while this one waits and runs, nor until
            `unique_until` if it has succeeded.
        unique_until: given if and only if `unique_key` is.
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
        task_id: as in its `Message`.
        token: by which the engine tells this delivery from every other one of the task.
        name: as in its `Message`.
        version: likewise.
        body: likewise.
        added_at: when it was added, or put back by `Engine.retry`.
        due_at: since when it may run.
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
        task_id: as in its `Message`.
        name: likewise.
        version: likewise.
        state: how it stands.
        since: when it got into its state.
        added_at: when it was added, or put back by `Engine.retry`.
        due_at: before which time it does not run.
        attempt: how many attempts have been made, as far as the engine was told.
        deliveries: how often the next or running attempt has been delivered.
        owner: whose it is, while it runs.
        lease_until: until when, while it runs.
        unique_key: as in its `Message`.
        unique_until: likewise.
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
        running: in the hands of workers.
        dead: kept with a reason, and not run again by themselves.
        oldest: for how many seconds the one that is due for longest has waited; 0 if none is due.
    """

    waiting: int
    running: int | None
    dead: int
    oldest: float | None
