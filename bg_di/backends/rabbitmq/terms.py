"""On which terms an engine works: what a user has chosen, durations as seconds."""

from dataclasses import dataclass
from typing import Final

# Seconds that a broker has to confirm the end of something: a connection, a channel, or that it sends no more.
ENDING: Final = 2.0
# Seconds between two tries of a worker, to be connected again and to pass a message on.
PAUSE: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for an engine and its consumers.

    Attributes:
        concurrency: how many unacknowledged messages a consumer has.
        max_deliveries: of an attempt, before its task is dead.
        unknown_after: for how long a task waits for somebody who knows it, before it is dead.
        heartbeat: between two signs of life of a connection; after three that are missing it is given up.
        publish_timeout: for the broker's confirmation, the connection included.
    """

    concurrency: int
    max_deliveries: int
    unknown_after: float
    heartbeat: int
    publish_timeout: float
