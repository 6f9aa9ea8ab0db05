"""The errors of bg_di.

BackgroundTaskError
├── BackgroundTasksNotAccepted   an engine has not accepted tasks, or nobody knows whether it has
├── BackgroundTasksUnavailable   no request is current where a task is added, or its tasks have ended
├── BackendIncapable             an engine has no means for what it was asked for
├── BackendUnavailable           an engine does not work, and the operation has changed nothing
│   ├── BackendOccupied          what it would keep tasks in is somebody else's
│   └── OutcomeUnknown           an engine failed where the operation may have been written all the same
├── InvalidOptions               an option of the module, or a policy of a task, is unknown or has a wrong value
│                                (also a ValueError)
├── MessageMalformed             what came from an engine is no message, or has no arguments that fit its task
│   └── ModuleUnknown            it was added in a module that this application does not have
├── MessageVersionUnknown        it is a message of a later version: others may know it
└── TaskTimedOut                 an attempt of a task took longer than its timeout (also a TimeoutError)

What is wrong about one call of ``add_task`` (not callable, wrong arguments) is a plain ``TypeError``,
as it is where the interpreter refuses a call.
"""

from collections.abc import Sequence
from typing import Self

from bg_di.record import TaskRecord


class BackgroundTaskError(Exception):
    """The root of the errors that bg_di raises by itself."""


class BackgroundTasksUnavailable(BackgroundTaskError, RuntimeError):
    """A task was added, or the collection asked for, where no request can take it."""


class BackgroundTasksNotAccepted(BackgroundTaskError):
    """Tasks could not be handed over to their engines.

    Attributes:
        refused: those of which it is certain that they have not been taken.
        unknown: those that may have been taken all the same, and then run.
        accepted: those handed over with them that were accepted all the same, and run.
        why: what the engines said.
    """

    def __init__(
        self,
        *,
        refused: Sequence[TaskRecord],
        unknown: Sequence[TaskRecord],
        accepted: Sequence[TaskRecord],
        why: Sequence[str],
    ) -> None:
        kinds = (("refused", refused), ("unknown, may run all the same", unknown), ("accepted all the same", accepted))
        told = "; ".join(f"{kind}: {_named(records)}" for kind, records in kinds if records)
        super().__init__(f"background tasks were not accepted ({'; '.join(why)}). {told}")
        self.refused = tuple(refused)
        self.unknown = tuple(unknown)
        self.accepted = tuple(accepted)
        self.why = tuple(why)


class BackendIncapable(BackgroundTaskError):
    """An engine has no means for what it was asked for, and others may: a broker keeps nothing to look at."""


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


class BackendOccupied(BackendUnavailable):
    """What an engine would keep tasks in is somebody else's, or was made otherwise: it does not pass by itself."""


class OutcomeUnknown(BackendUnavailable):
    """An engine failed at the moment of writing: what it was asked for may have been done, and may not."""


class InvalidOptions(BackgroundTaskError, ValueError):
    """The module or a task was declared with an option that does not exist, or with a wrong value for one."""


class MessageMalformed(BackgroundTaskError):
    """What came from an engine cannot be understood, by any version.

    Attributes:
        reason: what is wrong, without what it is wrong about, which may be secret.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ModuleUnknown(MessageMalformed):
    """A task was added in a module that this application does not have; another version of it may."""


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


def _named(records: Sequence[TaskRecord]) -> str:
    return ", ".join(f"{record.name} ({record.task_id})" for record in records)
