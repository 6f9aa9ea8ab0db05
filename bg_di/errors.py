"""The errors of bg_di.

BackgroundTaskError
├── BackgroundTasksUnavailable   no request is current where a task is added, or its tasks have ended
├── BackendUnavailable           an engine does not work, and the operation has changed nothing
│   └── OutcomeUnknown           an engine failed where the operation may have been written all the same
├── InvalidOptions               an option of the module, or a policy of a task, is unknown or has a wrong value
│                                (also a ValueError)
├── MessageMalformed             what came from an engine is no message, or has no arguments that fit its task
├── MessageVersionUnknown        it is a message of a later version: others may know it
└── TaskTimedOut                 an attempt of a task took longer than its timeout (also a TimeoutError)

What is wrong about one call of ``add_task`` (not callable, wrong arguments) is a plain ``TypeError``,
as it is where the interpreter refuses a call.
"""

from typing import Self


class BackgroundTaskError(Exception):
    """The root of the errors that bg_di raises by itself."""


class BackgroundTasksUnavailable(BackgroundTaskError, RuntimeError):
    """A task was added, or the collection asked for, where no request can take it."""


class BackendUnavailable(BackgroundTaskError):
    """An engine does not work at the moment. What it was asked for has not been done, and may be asked for again.

    Attributes:
        engine: which one, as its path or address.
        why: what is wrong with it, and what helps.
    """

    def __init__(self, engine: str, why: str) -> None:
        super().__init__(f"{engine} {why}")
        self.engine = engine
        self.why = why

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.engine, self.why)


class OutcomeUnknown(BackendUnavailable):
    """An engine failed at the moment of writing: what it was asked for may have been done, and may not."""


class InvalidOptions(BackgroundTaskError, ValueError):
    """The module or a task was declared with an option that does not exist, or with a wrong value for one."""


class MessageMalformed(BackgroundTaskError):
    """What came from an engine cannot be understood, by any version.

    Attributes:
        reason: what is wrong, without what it is wrong about.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageVersionUnknown(BackgroundTaskError):
    """A message was written by a later version of bg_di; a worker leaves it to others.

    Attributes:
        version: of the message.
    """

    def __init__(self, version: int) -> None:
        super().__init__(f"messages of version {version} are not known here")
        self.version = version


class TaskTimedOut(BackgroundTaskError, TimeoutError):
    """An attempt of a task took longer than the timeout that it was declared with."""
