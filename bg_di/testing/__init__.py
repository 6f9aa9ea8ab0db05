"""For the tests of applications that use bg_di, and of backends."""

from bg_di.testing.added import AddedTask
from bg_di.testing.contract import BackendContract
from bg_di.testing.overriding import override_everywhere
from bg_di.testing.recording import RecordingBackgroundTasks
from bg_di.testing.watched import WatchedBackgroundTasks

__all__ = [
    "AddedTask",
    "BackendContract",
    "RecordingBackgroundTasks",
    "WatchedBackgroundTasks",
    "override_everywhere",
]
