"""What tests put over every application of the process, for as long as a test takes: the one thing that is global here.

An application may have been built before, by a fixture of a wider scope, and be served in another thread. So it is a
stack of the process, and no context variable; and what runs tasks is told when it changes. While nothing is put over,
nobody asks for it on the path of a task that stays in the process.
"""

from collections.abc import AsyncIterable, Generator
from contextlib import AbstractContextManager, contextmanager
from threading import Lock
from typing import Any, Final, Protocol
from weakref import WeakSet

from anyio import CancelScope

from bg_di.backends import Backend, Engine
from bg_di.calls.plan import Plan
from bg_di.calls.task import Waiting
from bg_di.declaring.retry import Retry


class Overlay(Protocol):
    """What a test puts over every application.

    Attributes:
        observer: a `TaskObserver`, which hears what those of the option ``observers`` hear.
    """

    observer: Any

    def added(self, runner: Any, plan: Plan) -> None:
        """A call was added.

        Args:
            runner: of its application.
            plan: of the call.
        """

    def holds(self, runner: Any, call: Waiting) -> bool:
        """Whether a call that would run now is taken, to run when the test says so.

        Args:
            runner: of its application.
            call: as it waits. Who takes it has to run it.
        """
        ...

    def engine(self, engines: Any, name: str, backend: Backend) -> Engine:
        """What stands in the place of an engine.

        Args:
            engines: those of its application.
            name: of the engine.
            backend: which would open it.
        """
        ...

    async def deliver(self, runner: Any) -> None:
        """Run what the engines of an application have accepted: called when a request has handed its tasks over.

        Args:
            runner: of the application.
        """

    def passing(self, scope: CancelScope, seconds: float) -> AbstractContextManager[None]:
        """Entered where a task has a timeout.

        Args:
            scope: to be cancelled when it is over on the test's clock. By the real time it is cancelled anyway.
            seconds: that the task has.
        """
        ...

    def attempts(self, retry: Retry, limit: float | None) -> AsyncIterable[Any]:
        """The attempts of a task, one after another, as stamina makes them.

        Args:
            retry: how often, and with which waits.
            limit: seconds over all, after which no other one starts; None: without a limit.
        """
        ...


class Covered(Protocol):
    """What hears of it that something was put over it, or taken away."""

    def overlaid(self) -> None: ...


_STACK: Final[list[Overlay]] = []
_COVERED: Final[WeakSet[Covered]] = WeakSet()
_CHANGING: Final = Lock()


def overlay() -> Overlay | None:
    """What is put over every application now; None outside of tests."""
    return _STACK[-1] if _STACK else None


def covered() -> list[Any]:
    """All that something put over reaches."""
    with _CHANGING:
        return list(_COVERED)


def cover(what: Covered) -> None:
    """Have something hear of what is put over it, as long as it is there.

    Args:
        what: kept by nobody here.
    """
    with _CHANGING:
        _COVERED.add(what)
    what.overlaid()


@contextmanager
def put_over(what: Overlay) -> Generator[None]:
    """Put something over every application of the process, built already or later, in a block of code.

    Args:
        what: asked instead of what is below it, until the block ends.
    """
    _STACK.append(what)
    _tell()
    try:
        yield
    finally:
        _STACK.remove(what)
        _tell()


def _tell() -> None:
    for what in covered():
        what.overlaid()
