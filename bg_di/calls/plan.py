"""How a task runs that is more than a plain call."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from time import time
from typing import Any, ClassVar

from bg_di.backends import Message
from bg_di.calls.context import TaskContext, TaskReference
from bg_di.calls.protocols import Collection
from bg_di.declaring.policy import Policy
from bg_di.record import State, TaskRecord


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A call as it goes to an engine.

    Attributes:
        backend: the name of the engine.
        message: what is handed over.
    """

    backend: str
    message: Message


@dataclass(eq=False)
class Plan:
    """One call that is more than a plain one.

    Attributes:
        name: of the task.
        policy: when it runs, and how.
        func, args, kwargs: the call, without what the container supplies.
        service: the class whose instance comes first, if it is a method of a service.
        needs: the other parameters that the container fills, by name.
        collection: of the request that it belongs to.
        injector: that the adding code resolves from; None if nothing is needed.
        attempt: that runs or ran last; 0 before the first.
        delivery: how often an engine has delivered that attempt; 1 in the process.
        outgoing: what is handed over, instead of being run here; None if it runs here.
        added_at: when it was added, in seconds since the epoch.
        due_at: before which it was not to run; as `added_at`, if it was not delayed.
        reference: stands for it outside, where it must not keep the request alive.
    """

    name: str
    policy: Policy
    func: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    service: type | None
    needs: Mapping[str, Any]
    collection: Collection
    injector: Any
    # An attempt keeps the timeout by itself.
    limit: ClassVar[None] = None
    is_plain: ClassVar = False
    attempt: int = 0
    delivery: int = 1
    outgoing: Outgoing | None = None
    reference: TaskReference = field(default_factory=TaskReference)
    added_at: float = field(default_factory=time)
    due_at: float = 0.0

    def context(self, attempt: int) -> TaskContext:
        return TaskContext(
            task_id=self.reference.task_id,
            name=self.name,
            attempt=attempt,
            delivery=self.delivery,
            added_at=datetime.fromtimestamp(self.added_at, UTC),
            method=self.collection.method,
            path=self.collection.path,
        )

    def record(self, state: State, reason: str | None = None) -> TaskRecord:
        """What is told of it now."""
        return TaskRecord(
            task_id=self.reference.task_id,
            name=self.name,
            method=self.collection.method,
            path=self.collection.path,
            state=state,
            since=datetime.fromtimestamp(self.added_at if state == "waiting" else time(), UTC),
            attempt=self.attempt,
            reason=reason,
        )
