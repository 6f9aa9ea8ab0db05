"""How much is measured on SQLite: enough for numbers, or just enough to see that it works."""

from dataclasses import dataclass
from typing import Final

from benchmarks.engines import scale


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale(scale.Scale):
    """How often, and how much at a time.

    Attributes:
        seconds: that the event loop is watched in a round.
        waiting: how many tasks wait for the workers.
        counted: of those, so many are timed.
    """

    seconds: float
    waiting: tuple[int, ...]
    counted: int


FULL: Final = Scale(
    rounds=5,
    accepted=3000,
    backlog=3000,
    grouped=4000,
    seconds=3,
    waiting=(1_000, 10_000, 100_000),
    counted=5000,
    peers=200,
    queued=100,
    patience=25,
)
QUICK: Final = Scale(
    rounds=1,
    accepted=50,
    backlog=100,
    grouped=100,
    seconds=0.2,
    waiting=(100,),
    counted=100,
    peers=5,
    queued=4,
    patience=3,
)
