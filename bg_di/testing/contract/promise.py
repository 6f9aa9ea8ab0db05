"""A test of what a backend promises."""

import asyncio
from collections.abc import Callable, Coroutine
from functools import wraps
from typing import Any, TypeAlias

from bg_di.backends import Backend, Capability

Test: TypeAlias = Callable[[Any, Backend], Coroutine[Any, Any, None]]


def promise(*needs: Capability) -> Callable[[Test], Callable[[Any, Backend], None]]:
    """A test of a promise that is made by a backend with these capabilities.

    It runs in an event loop of its own, so that no plugin is needed, and for a bounded time: the ``patience`` of its
    class.
    """

    def of(test: Test) -> Callable[[Any, Backend], None]:
        @wraps(test)
        def run(self: Any, backend: Backend) -> None:
            asyncio.run(asyncio.wait_for(test(self, backend), self.patience))

        vars(run)["needs"] = frozenset(needs)
        return run

    return of


def needs_of(test: object) -> frozenset[Capability]:
    """The capabilities without which the promise is not made; none for what is no such test."""
    return getattr(test, "needs", frozenset())
