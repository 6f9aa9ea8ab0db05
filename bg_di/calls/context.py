"""What a running task may know of itself, and who added it of it."""

from dataclasses import dataclass
from datetime import datetime
from uuid import uuid4


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskContext:
    """What a running task may know of itself; ask for it as for any dependency.

    Attributes:
        task_id: the same for all attempts of a task, and for no other one.
        name: of the task.
        attempt: the first is 1.
        delivery: how often an engine has given this attempt to a worker, this time included: more than 1 if workers
            have died over it. In the process it is 1.
        added_at: when `add_task` was called, in UTC.
        method: of the request it belongs to; ``"WEBSOCKET"`` in a WebSocket connection, ``"COLLECT"`` outside of any,
            ``"BACKEND"`` where an engine has delivered it.
        path: of the request it belongs to; ``"outside"`` outside of any, the engine's name where one has delivered it.
    """

    task_id: str
    name: str
    attempt: int
    delivery: int = 1
    added_at: datetime
    method: str
    path: str


class TaskReference:
    """Stands for one task that was added."""

    _task_id: str | None = None

    @property
    def task_id(self) -> str:
        """The task's own; made when it is first asked for."""
        if self._task_id is None:
            # Threads may be the first to ask at once.
            self.__dict__.setdefault("_task_id", uuid4().hex)
        return self._task_id  # type: ignore[return-value]  # set now

    @property
    def known(self) -> str | None:
        """The id, if somebody has asked for it."""
        return self._task_id

    def stand_for(self, task_id: str) -> None:
        """Stand for the task of that `task_id` from now on: another one has the same unique key."""
        self._task_id = task_id
