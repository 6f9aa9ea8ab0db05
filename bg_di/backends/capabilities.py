"""What a backend may be able to do beyond running a task at once; whatever needs more is refused where it is wanted."""

from collections.abc import Collection, Mapping
from typing import Final, Literal

# The name of the backend that every application has.
IN_PROCESS: Final = "in_process"

Capability = Literal["delay", "idempotent", "unique_key", "cancel", "transaction", "listing", "dead", "counts"]
"""What a backend may be able to do beyond running a task at once.

Run it later; know a task that is handed over again; accept one task for a key; take back what waits; write it in the
user's own transaction; tell how each task stands. Without that last one, as on a broker, which lets nobody look into
its queues: put back and forget what is dead; tell how much there is.
"""

_MEANING: Final[Mapping[Capability, str]] = {
    "delay": "run a task later",
    "idempotent": "know a task that is handed over again",
    "unique_key": "accept one task for a key",
    "cancel": "take back a task that waits",
    "transaction": "write a task in a transaction of yours",
    "listing": "tell how its tasks stand",
    "dead": "put back or forget what is dead",
    "counts": "tell how much there is to do",
}

# The engines that come with bg_di and can do what a policy may want.
ABLE: Final[Mapping[Capability, str]] = {
    "delay": "a SqliteBackend or a RabbitBackend",
    "unique_key": "a SqliteBackend",
    "transaction": "a SqliteBackend",
}


def incapable(backends: Collection[str], need: Capability) -> str:
    """That backends, by name, have not a capability, in words."""
    return f"the backend {', '.join(map(repr, backends))} cannot {_MEANING[need]} (no capability {need!r})"
