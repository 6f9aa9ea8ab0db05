"""Background tasks as a first-class thing of Ellar's container."""

from bg_di.collection import BackgroundTasks, current_background_tasks
from bg_di.errors import BackgroundTaskError, BackgroundTasksUnavailable
from bg_di.failure import TaskErrorHandler, TaskFailure
from bg_di.module import BackgroundTasksModule

__all__ = [
    "BackgroundTaskError",
    "BackgroundTasks",
    "BackgroundTasksModule",
    "BackgroundTasksUnavailable",
    "TaskErrorHandler",
    "TaskFailure",
    "current_background_tasks",
]
