"""What a failing task is reported as, and to whom."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

from starlette.background import BackgroundTask

from bg_di.log import fields, logger


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskFailure:
    """One background task that failed.

    Attributes:
        error: what it raised; `asyncio.CancelledError` if its own code raised that.
        name: as it was declared, else ``module:qualname`` of its function.
        method: of the request it belongs to; as `TaskContext` has it.
        path: likewise.
        task: the call, with `func`, `args` and `kwargs`.
        task_id: that of the task, if it has one: on an engine always, in the process if somebody has asked for it.
    """

    error: BaseException
    name: str
    method: str
    path: str
    task: BackgroundTask
    task_id: str | None = None


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


class LoggingTaskErrorHandler(TaskErrorHandler):
    """The default: one line at ERROR for each failing task, with traceback, name, id if it has one, method and path.

    Args:
        log_arguments: whether it has the task's arguments, too.
    """

    def __init__(self, *, log_arguments: bool = False) -> None:
        self._log_arguments = log_arguments

    async def handle(self, failure: TaskFailure) -> None:
        logger.error(
            "background task %s of %s %s%s failed%s",
            failure.name,
            failure.method,
            failure.path,
            f" ({failure.task_id})" if failure.task_id is not None else "",
            f"; it was called with {_arguments(failure.task)}" if self._log_arguments else "",
            exc_info=failure.error,
            extra=fields(failure.name, failure.method, failure.path, failure.task_id),
        )


def _arguments(task: BackgroundTask) -> str:
    return f"({', '.join([*map(repr, task.args), *(f'{key}={value!r}' for key, value in task.kwargs.items())])})"
