"""For the tests of applications that use bg_di, and of backends."""

from bg_di.testing.contract import BackendContract
from bg_di.testing.overriding import override_everywhere
from bg_di.testing.recording import RecordingBackgroundTasks

__all__ = ["BackendContract", "RecordingBackgroundTasks", "override_everywhere"]
