"""What is told of a task to whoever watches: a record, made when somebody asks."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

NotRun = Literal["cancelled", "dropped", "skipped"]
"""How a task ends that does not run, as `TaskRecord` says it."""

State = Literal["waiting", "running", "succeeded", "failed", "timed_out", "accepted", "dead", NotRun]
"""How a task stands, as `TaskRecord` says it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskRecord:
    """A task, as it stands. It carries no arguments, and keeps nothing of the request alive.

    Attributes:
        task_id: the same in every record of a task, and of no other one.
        name: as it was declared, else ``module:qualname`` of the function.
        method: of the request it belongs to; as `TaskContext` has it.
        path: likewise.
        state: ``"waiting"``, ``"running"``, or how it ended: ``"succeeded"``, ``"failed"``, ``"timed_out"``;
            ``"cancelled"``, by the end of its request or by somebody; ``"dropped"``, as its ``when`` was decided
            against it; ``"skipped"``, as an earlier failure ended the rest. On an engine ``"accepted"``, where it waits
            for a worker, for the first time or again; and ``"dead"``, kept with the reason.
        since: when it got into that state, in UTC. Plain calls are told apart no finer than they are seen from outside:
            those that wait together have the time of the first; those that ran one after another without suspending
            that of the last; and one runs since it first suspended.
        attempt: which attempt runs or ran last; 0 before the first.
        reason: why, if it did not succeed: the error, or what ended it.
    """

    task_id: str
    name: str
    method: str
    path: str
    state: State
    since: datetime
    attempt: int
    reason: str | None = None
