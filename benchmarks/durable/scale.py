"""How much is measured: enough for numbers, or just enough to see that it works."""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often, and how much at a time.

    Attributes:
        rounds: repetitions of everything, in which what is compared takes turns.
        commits: single tasks that are enqueued in a round.
        backlog: tasks that wait when it is measured how one is enqueued meanwhile.
        grouped: tasks that coroutines enqueue together in a round.
        seconds: that the event loop is watched in a round.
        waiting: how many tasks wait for the workers.
        counted: of those, so many are timed.
        peers: tasks that an engine enqueues and runs in a round, times its pace.
        held: tasks that run when the worker is killed.
        queued: that wait behind them.
        patience: seconds without any progress after which the rest is given up for lost.
    """

    rounds: int
    commits: int
    backlog: int
    grouped: int
    seconds: float
    waiting: tuple[int, ...]
    counted: int
    peers: int
    held: int = 6
    queued: int
    patience: float


FULL: Final = Scale(
    rounds=5,
    commits=3000,
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
    commits=50,
    backlog=100,
    grouped=100,
    seconds=0.2,
    waiting=(100,),
    counted=100,
    peers=5,
    queued=4,
    patience=3,
)
