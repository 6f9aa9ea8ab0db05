"""The errors of bg_di.

BackgroundTaskError
├── BackgroundTasksUnavailable   no request is current where a task is added, or its tasks have ended
├── InvalidOptions               an option of the module, or a policy of a task, is unknown or has a wrong value
│                                (also a ValueError)
└── TaskTimedOut                 an attempt of a task took longer than its timeout (also a TimeoutError)

What is wrong about one call of ``add_task`` (not callable, wrong arguments) is a plain ``TypeError``,
as it is where the interpreter refuses a call.
"""


class BackgroundTaskError(Exception):
    """The root of the errors that bg_di raises by itself."""


class BackgroundTasksUnavailable(BackgroundTaskError, RuntimeError):
    """A task was added, or the collection asked for, where no request can take it."""


class InvalidOptions(BackgroundTaskError, ValueError):
    """The module or a task was declared with an option that does not exist, or with a wrong value for one."""


class TaskTimedOut(BackgroundTaskError, TimeoutError):
    """An attempt of a task took longer than the timeout that it was declared with."""
