"""The ground under an application: all that chaos has to know of an engine."""

from abc import ABC, abstractmethod
from collections.abc import Coroutine, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, ClassVar

from bg_di.backends import Backend
from tests.chaos.record import History, Record, Run
from tests.chaos.scene import Role, Scene
from tests.chaos.windows import Death, Window


class Site(ABC):
    """What a process of the application gets of it. It is pickled.

    Attributes:
        folder: where the record is, and the logs.
    """

    folder: Path

    @abstractmethod
    def enter(self, role: Role) -> None:
        """Called first of all, as long as there is one thread."""

    @abstractmethod
    def watch(self, death: Death, record: Record) -> None:
        """Look for the windows that only this engine has."""

    @abstractmethod
    def backend(self, role: Role) -> Backend:
        """What the application is configured with."""


class Ground(ABC):
    """What is under an application.

    Attributes:
        windows: in which processes die here.
        rest: seconds after which a process that is stopped is taken for dead.
        scene: what the driver shares.
        roles, site: of the processes. They are there as long as it is `laid`.
        engine: what keeps the tasks, and its version. It is there once it was `laid`.
    """

    windows: ClassVar[Sequence[Window]]
    rest: ClassVar[float]

    roles: Sequence[Role]
    site: Site
    engine: tuple[str, str]

    def __init__(self, scene: Scene) -> None:
        self.scene = scene

    @abstractmethod
    def laid(self) -> AbstractAsyncContextManager[None]:
        """Have it there."""

    def disturbing(self) -> Iterable[Coroutine[Any, Any, None]]:
        """What goes wrong here besides processes. Each passes the gate `trouble` whenever it does something."""
        return ()

    def is_enough(self) -> bool:
        """Whether everything has gone wrong as often as planned."""
        return True

    @abstractmethod
    async def has_finished(self) -> bool:
        """Whether nothing waits or runs any more."""

    @abstractmethod
    async def end(self) -> None:
        """All processes have gone: take down for the verdict what is left."""

    @abstractmethod
    def wrong(self, history: History) -> Iterable[str]:
        """Each promise that is seen broken here, in words."""

    @abstractmethod
    def told(self, history: History) -> dict[str, object]:
        """What was counted here."""

    @abstractmethod
    def cause(self, history: History, task_id: str, run: Run, after: Run) -> str | None:
        """Why an attempt that was started in `run` was started once more in the one `after`."""
