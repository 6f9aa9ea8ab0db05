"""Where tasks run: in the process, or on engines that keep them beyond it, each in a package of its own."""

from bg_di.backend import Backend
from bg_di.backends.in_process import InProcessBackend

__all__ = ["Backend", "InProcessBackend"]
