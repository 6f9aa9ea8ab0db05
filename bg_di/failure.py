"""What a failing task is reported as, and to whom."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from starlette.background import BackgroundTask


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """One background task that failed.

    Attributes:
        error: what it raised; `asyncio.CancelledError` if its own code raised that.
        name: as it was declared, else ``module:qualname`` of its function.
        method: of the request it belongs to; as `TaskContext` has it.
        path: likewise.
        task: the call, with `func`, `args` and `kwargs`.
    """

    error: BaseException
    name: str
    method: str
    path: str
    task: BackgroundTask


class TaskErrorHandler(ABC):
    """Hears of each failing task, once.

    Bind your own as any provider: ``ProviderConfig(TaskErrorHandler, use_class=…)``, at the root for all modules
    or in a feature module for what that one adds.
    """

    @abstractmethod
    async def handle(self, failure: TaskFailure) -> None:
        """Do with the failure what is to be done.

        It is awaited before the next task of the request starts. What it raises is logged and stops nothing.

        Args:
            failure: the task, after its last attempt, and why it failed.
        """
