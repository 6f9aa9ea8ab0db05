"""How much is measured of whichever engine."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Scale:
    """How often, and how much at a time.

    Attributes:
        rounds: repetitions of everything, in which what is compared takes turns.
        accepted: single tasks that are accepted in a round.
        backlog: tasks that wait when it is measured how one is accepted meanwhile.
        grouped: tasks that coroutines enqueue together in a round.
        peers: tasks that an engine enqueues and runs in a round, times its pace.
        held: tasks that run when the worker is killed.
        queued: that wait behind them.
        patience: seconds without any progress after which the rest is given up for lost.
    """

    rounds: int
    accepted: int
    backlog: int
    grouped: int
    peers: int
    held: int = 6
    queued: int
    patience: float
