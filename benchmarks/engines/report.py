"""Tables of what was measured of durable tasks on whichever engine, and the paragraphs between them."""

from collections.abc import Iterable, Mapping, Sequence

from benchmarks.engines.beside import Beside
from benchmarks.engines.kills import Survival
from benchmarks.engines.peer import Peer
from benchmarks.engines.samples import Rounds, Spread, Summary, p50, p99, ratio, spread
from benchmarks.engines.scale import Scale
from benchmarks.machine import measured_on
from benchmarks.report import table

_ABOUT = """\
Everything is measured in {rounds} rounds, in which what is compared takes turns; a number is the median of the
rounds, with the least and the most of them behind it. A ratio is the median of the rounds' own ratios."""
_ABOUT_KILLS = """\
Of each engine a worker has {held} tasks in hand and {queued} waiting when it is killed by SIGKILL; then another one is
started, and given up after {patience:g} s without progress. Once, not in rounds. Seconds: from the kill to the end of
the last task that had been in hand, the start of the other worker's process included."""


def about(written: str, scale: Scale) -> str:
    """How to read all that follows."""
    return f"{written}\n{_ABOUT.format(rounds=scale.rounds)}"


def assembled(title: str, introduction: Sequence[str], sections: Mapping[str, Sequence[str]]) -> str:
    """The whole of a document."""
    parts = [f"# {title}", *introduction]
    for heading, content in sections.items():
        parts += [f"## {heading}", *content]
    return "\n\n".join(parts)


def machine(server: Sequence[str], packages: Iterable[str]) -> str:
    """What it was measured on.

    Args:
        server: what keeps the tasks, and its version.
    """
    name, version = server
    return table(["What", "Which"], map(list, measured_on((name, version), packages=packages).items()))


def latency_cells(ours: Rounds, theirs: Sequence[Rounds], summary: Summary) -> Iterable[str]:
    """Microseconds of all, and the ratio to each of the others."""
    for rounds in (ours, *theirs):
        yield shown(spread(rounds, summary), 1e6)
    for rounds in theirs:
        yield shown(ratio(ours, rounds, summary), digits=3)


def rates_cells(ours: Sequence[float], theirs: Sequence[float]) -> Iterable[str]:
    """Both, and the ratio of the rounds."""
    yield shown(Spread.of(ours))
    yield shown(Spread.of(theirs))
    yield shown(Spread.of([our / their for our, their in zip(ours, theirs, strict=True)]), digits=1)


def beside_cells(peer: Beside, ours: Beside) -> Iterable[str]:
    """How long an engine takes to enqueue a task, in milliseconds and compared with bg_di."""
    for summary in (p50, p99):
        yield shown(spread(peer.latencies, summary), 1e3, digits=2)
    yield shown(ratio(peer.latencies, ours.latencies, p50), digits=2)


def absent(peers: Iterable[Peer], found: Mapping[str, Beside]) -> str:
    """Which of them were not measured."""
    names = [peer.name for peer in peers if peer.name not in found]
    return f"Not installed in this environment, and left out: {', '.join(names)}." if names else ""


def kills(survivals: Iterable[Survival], scale: Scale) -> list[str]:
    """The table, and what it says."""
    rows = [
        [
            each.peer,
            f"{each.ended} of {each.tasks}",
            f"{each.again} of {each.in_hand}",
            "never" if each.seconds is None else f"{each.seconds:.1f}",
        ]
        for each in survivals
    ]
    said = _ABOUT_KILLS.format(held=scale.held, queued=scale.queued, patience=scale.patience)
    return [table(["Engine", "Ended", "Of those in hand", "Seconds"], rows), said]


def shown(found: Spread, unit: float = 1.0, *, digits: int = 0) -> str:
    """A number, and between which it was in the rounds."""
    median, least, most = (f"{value * unit:,.{digits}f}" for value in (found.median, found.least, found.most))
    return f"{median} ({least} to {most})"
