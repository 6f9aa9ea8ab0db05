"""Background tasks as a first-class thing of Ellar's container."""

from bg_di.calls.context import TaskContext, TaskReference
from bg_di.collecting.background_tasks import BackgroundTasks
from bg_di.collecting.current import current_background_tasks
from bg_di.declaring.declare import background_task
from bg_di.declaring.placeholder import INJECTED
from bg_di.declaring.retry import Retry
from bg_di.errors import BackgroundTaskError, BackgroundTasksNotAccepted, BackgroundTasksUnavailable
from bg_di.module import BackgroundTasksModule
from bg_di.monitor import BackgroundTasksMonitor
from bg_di.observing.failure import TaskErrorHandler, TaskFailure
from bg_di.observing.observer import TaskObserver
from bg_di.outside import collect_background_tasks
from bg_di.record import TaskRecord

__all__ = [
    "INJECTED",
    "BackgroundTaskError",
    "BackgroundTasks",
    "BackgroundTasksModule",
    "BackgroundTasksMonitor",
    "BackgroundTasksNotAccepted",
    "BackgroundTasksUnavailable",
    "Retry",
    "TaskContext",
    "TaskErrorHandler",
    "TaskFailure",
    "TaskObserver",
    "TaskRecord",
    "TaskReference",
    "background_task",
    "collect_background_tasks",
    "current_background_tasks",
]
