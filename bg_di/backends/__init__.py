"""Where tasks run: in the process, or on engines that keep them beyond it, each in a package of its own.

What stands here is all that a backend of one's own needs.
"""

from bg_di.backends.backend import Backend, Consumer, Engine
from bg_di.backends.capabilities import Capability
from bg_di.backends.in_process import InProcessBackend
from bg_di.backends.messages import Accepted, Counts, Delivery, Entry, Message, StoredState
from bg_di.errors import BackendOccupied, BackendUnavailable, OutcomeUnknown
from bg_di.values import Seconds

__all__ = [
    "Accepted",
    "Backend",
    "BackendOccupied",
    "BackendUnavailable",
    "Capability",
    "Consumer",
    "Counts",
    "Delivery",
    "Engine",
    "Entry",
    "InProcessBackend",
    "Message",
    "OutcomeUnknown",
    "Seconds",
    "StoredState",
]
