"""What tests of applications use."""

from bg_di.testing.recording import RecordingBackgroundTasks

__all__ = ["RecordingBackgroundTasks"]
