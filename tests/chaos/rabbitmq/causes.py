"""Why a message was delivered again: its process died, or its connection was lost, and what was done to that."""

from dataclasses import dataclass
from typing import Final

from tests.chaos.record import History, Line, Run

# Seconds between what is done and what is written down of it.
_EARLY: Final = 0.5
# Seconds until the loser of a connection notices at the latest, when somebody else has the task for long.
_LATE: Final = 30.0
# Seconds that something lasts which is done, and until a silent connection is given up after it.
_LASTS: Final = 12.0
_NOTICED: Final = 12.0


@dataclass(frozen=True)
class Hold:
    """A process that has a task in hand.

    Attributes:
        since: when it was delivered to it.
        time: when it had started it, or the same.
        copy: which message of the task it is.
    """

    pid: int
    since: float
    time: float
    copy: str


def hold(line: Line, run: Run | None = None) -> Hold:
    """What a process has since a delivery that is written down, and runs."""
    return Hold(line["pid"], line["time"], run.time if run else line["time"], line["copy"])


def run_again(history: History, task_id: str, first: Run, second: Run) -> str | None:
    """Why an attempt was started once more; None if nothing is known that explains it."""
    # Whoever had it first may be the last to start it.
    one, other = sorted((_held(history, task_id, run) for run in (first, second)), key=lambda held: held.since)
    again = delivered_again(history, one, other) if one.copy == other.copy else None
    if again or first.attempt == 1:
        return again
    # It was put there twice, as the one or the other was not confirmed.
    before = [run for run in history.started[task_id] if run.attempt == first.attempt - 1]
    if len(before) != 1:
        return "passed on twice: the attempt before was run twice"
    done = _done(history, _held(history, task_id, before[0]), other)
    return done and f"passed on twice: {done}"


def delivered_again(history: History, first: Hold, second: Hold) -> str | None:
    """Why a message was delivered once more."""
    for end in history.ends[first.pid]:
        if first.since - _EARLY <= end["time"] <= second.time:
            return f"process {end['what']}"
    for each in (first, second):  # whoever has lost it may also start it late
        for lost in history.lines["lost"]:
            if lost["pid"] == each.pid and each.since <= lost["time"] <= second.time + _LATE:
                return f"connection lost: {_done_before(history, lost)}"
    # It did not live long enough to say so.
    return _done(history, first, second)


def _held(history: History, task_id: str, run: Run) -> Hold:
    mine = [line for line in history.delivered[task_id] if line["pid"] == run.pid and line["time"] <= run.time]
    *_, line = (line for line in mine if line["attempt"] == run.attempt - 1)
    return hold(line, run)


def _done(history: History, first: Hold, second: Hold) -> str | None:
    """What was done to the first one's connections, before the second one had it."""
    done = _disturbances(history, first.pid, first.since - _LASTS, second.time)
    return f"connection {max(done)[1]}" if done else None


def _done_before(history: History, lost: Line) -> str:
    begin, end = lost["time"] - _LASTS - _NOTICED, lost["time"] + _EARLY
    stops = [line["time"] for line in history.ends[lost["pid"]] if line["what"] == "stopped"]
    done = _disturbances(history, lost["pid"], begin, end)
    done += [(time, "stopped") for time in stops if begin <= time <= end]
    return max(done)[1] if done else "by itself"


def _disturbances(history: History, pid: int, begin: float, end: float) -> list[tuple[float, str]]:
    return [
        (line["time"], line["how"])
        for line in history.lines["disturbed"]
        if history.roles[pid] in line["roles"] and begin <= line["time"] <= end
    ]
