"""An engine that does the same work as bg_di: it enqueues tasks as an async handler would, and has a worker."""

from collections.abc import Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TypeVar

Enqueue = Callable[[int], Awaitable[object]]
# Where its tasks are, and how many slots its workers have; None: as many as it comes with.
Enqueuing = Callable[[str, int | None], AbstractAsyncContextManager[Enqueue]]
Working = Callable[[str, int | None], AbstractAsyncContextManager[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """An engine, bg_di's own among them.

    Attributes:
        name: as it is shown.
        package: that must be installed.
        home: the module that has it in its `PEERS`.
        enqueuing: gives what enqueues a task.
        working: runs a worker.
        pace: how much it is given to do, compared with others.
    """

    name: str
    package: str
    home: str
    enqueuing: Enqueuing
    working: Working
    pace: int = 10

    @property
    def is_installed(self) -> bool:
        return find_spec(self.package) is not None


AnyPeer = TypeVar("AnyPeer", bound=Peer)


def installed(peers: Iterable[AnyPeer]) -> list[AnyPeer]:
    """What can be measured here."""
    return [peer for peer in peers if peer.is_installed]
