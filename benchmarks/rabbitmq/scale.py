"""How much is measured on RabbitMQ: enough for numbers, or just enough to see that it works."""

from dataclasses import dataclass
from typing import Final

from benchmarks.engines import scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(scale.Scale):
    """How often, and how much at a time.

    Attributes:
        requests: that clients send in a round.
    """

    requests: int


FULL: Final = Scale(
    rounds=3,
    accepted=1500,
    backlog=1000,
    grouped=3000,
    requests=2000,
    peers=200,
    queued=100,
    patience=25,
)
QUICK: Final = Scale(
    rounds=1,
    accepted=20,
    backlog=20,
    grouped=50,
    requests=50,
    peers=5,
    queued=4,
    patience=10,
)
