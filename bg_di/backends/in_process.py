"""The backend that every application has: tasks run in the process, after their response."""

from dataclasses import dataclass
from typing import ClassVar

from bg_di.backends.backend import Backend, Engine
from bg_di.backends.capabilities import Capability


@dataclass(frozen=True, slots=True, kw_only=True)
class InProcessBackend(Backend):
    """Runs tasks in the process that added them. It may stand under any name, as in development and tests.

    What waits and runs is lost with the process. `BackgroundTasksMonitor` takes back what waits and tells how it
    stands, as far as this process remembers.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({"cancel", "listing"})
    runs_here: ClassVar[bool] = True

    def open(self, application: str) -> Engine:
        """There is nothing to open for any `application`."""
        raise NotImplementedError("tasks of an InProcessBackend stay in the collection")
