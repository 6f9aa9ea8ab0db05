"""How a task ends, as its observers see it."""

from typing import Any

from bg_di.calls.steps import is_failure, pending_cancellations
from bg_di.errors import TaskTimedOut
from bg_di.record import State


class Outcome:
    """A context manager around a task or an attempt, which knows afterwards how that has ended.

    A `CancelledError` that the task's own code raised is a failure, as it is everywhere else; by the error alone that
    cannot be told from a cancellation.

    Attributes:
        state: ``"running"``, then how it ended.
    """

    state: State = "running"

    @property
    def is_failure(self) -> bool:
        """Whether it ended by an error, and not by cancellation."""
        return self.state in {"failed", "timed_out"}

    def __enter__(self) -> "Outcome":
        self._cancellations = pending_cancellations()
        return self

    def __exit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        self.state = self._of(error)

    def _of(self, error: BaseException | None) -> State:
        if error is None:
            return "succeeded"
        if not is_failure(error, self._cancellations):
            return "cancelled"
        return "timed_out" if isinstance(error, TaskTimedOut) else "failed"
