"""For the tests of applications that use bg_di."""

from bg_di.testing.overriding import override_everywhere
from bg_di.testing.recording import RecordingBackgroundTasks

__all__ = ["RecordingBackgroundTasks", "override_everywhere"]
