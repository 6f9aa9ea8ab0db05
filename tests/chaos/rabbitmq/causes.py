"""Why a message was delivered again: its process died, or its connection was lost, and what was done to that."""

from dataclasses import dataclass
from typing import Final

from tests.chaos.record import History, Line

# Seconds until the loser of a connection notices at the latest, when somebody else has the task for long.
_LATE: Final = 30.0
# Seconds after which something that was done has nothing to do with a loss any more.
_LONG_AGO: Final = 25.0


@dataclass(frozen=True)
class Hold:
    """A process that has a task in hand.

    Attributes:
        since: when it was delivered to it.
        time: when it had started it, or the same.
    """

    pid: int
    since: float
    time: float


def cause(history: History, first: Hold, second: Hold) -> str | None:
    """Why the second one has what the first one had; None if nothing is known that explains it."""
    for end in history.ends[first.pid]:
        if first.since <= end["time"] <= second.time:
            return f"process {end['what']}"
    for hold in (first, second):  # whoever has lost it may also start it late
        for lost in history.lines["lost"]:
            if lost["pid"] == hold.pid and hold.since <= lost["time"] <= second.time + _LATE:
                return f"connection lost: {_done_before(history, lost)}"
    # It did not live long enough to say so.
    for done in reversed(history.lines["disturbed"]):
        if first.pid in done["victims"] and first.since - _LONG_AGO <= done["time"] <= second.time:
            return f"connection {done['how']}"
    return None


def _done_before(history: History, lost: Line) -> str:
    done = [
        (line["time"], line["how"])
        for line in history.lines["disturbed"]
        if lost["pid"] in line["victims"] and lost["time"] - _LONG_AGO <= line["time"] <= lost["time"]
    ] + [
        (line["time"], line["what"])
        for line in history.ends[lost["pid"]]
        if lost["time"] - _LONG_AGO <= line["time"] <= lost["time"]
    ]
    return max(done)[1] if done else "by itself"
