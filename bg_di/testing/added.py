"""One task that was added in a test, and how it stands."""

from collections.abc import Callable
from typing import Any, Final

from bg_di.calls.task import Call
from bg_di.declaring.binding import name_of
from bg_di.record import State
from bg_di.testing.matching import shown

FAILED: Final = frozenset({"failed", "timed_out", "dead"})


class AddedTask(Call):
    """A task that was added in a test.

    Attributes:
        func: what was added.
        args: what it was called with, without what the container supplies.
        kwargs: the same, by name.
        task_id: the same in every record of it; empty in a fake, which has none.
        name: as it was declared, else ``module:qualname`` of the function.
        method: of the request that it was added in.
        path: of the request that it was added in.
        backend: the name of the engine that it was handed over to; None if it runs in the process.
        attempt: which attempt runs or ran last; 0 before the first.
        is_held: whether it is kept back, until the test says that it runs.
        accepted_before_response: whether its engine had it before the response started; None if no engine has it.
    """

    def __init__(self, func: Callable[..., Any], args: Any, kwargs: Any) -> None:
        super().__init__(func, args, kwargs)
        self.task_id = ""
        self.name = name_of(func)
        self.method = self.path = ""
        self.backend: str | None = None
        self.attempt = 0
        self.is_held = False
        self.accepted_before_response: bool | None = None
        # Whether the test has seen how it ended.
        self.is_looked_at = False
        self._state: State = "waiting"
        self._error: BaseException | None = None
        self._reason: str | None = None

    @property
    def state(self) -> State:
        """How it stands, as `bg_di.TaskRecord` has it. Whoever asks has seen a failure."""
        self.is_looked_at = True
        return self._state

    @property
    def error(self) -> BaseException | None:
        """What its last attempt raised; None if it did not fail. Whoever asks has seen it."""
        self.is_looked_at = True
        return self._error

    @property
    def reason(self) -> str | None:
        """Why it did not succeed, or did not run, in words."""
        self.is_looked_at = True
        return self._reason

    def stands(self, state: State, *, error: BaseException | None = None, reason: str | None = None) -> None:
        """Note how it stands now.

        Args:
            state: as in records.
            error: what its last attempt raised.
            reason: why it has not succeeded, in words.
        """
        self._state, self._error, self._reason = state, error, reason

    def peek(self) -> tuple[State, BaseException | None, str | None]:
        """State, error and reason, for who only shows them."""
        return self._state, self._error, self._reason

    def __repr__(self) -> str:
        state, error, reason = self.peek()
        why = repr(error) if error is not None else reason
        how = "held" if self.is_held else state
        return f"{shown(self.func, self.args, self.kwargs)}: {how}{f', {why}' if why else ''}"
