"""What came of a question."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

Mark = Literal["good", "fair", "poor", "absent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The answer.

    Attributes:
        mark: whether that is what somebody would wish who adds a task; absent: there is no such thing.
        word: the answer in a word or two.
        observed: what was seen.
    """

    mark: Mark
    word: str
    observed: str


def ran(heard: Sequence[str], expected: Iterable[str], also: str = "") -> Outcome:
    """Judge whether each of these tasks has run, and once.

    Args:
        also: what else was seen.
    """
    wanted, counted = list(expected), Counter(heard)
    lost = [name for name in wanted if not counted[name]]
    often = [f"{name} {counted[name]} times" for name in wanted if counted[name] > 1]
    told = [
        *([f"ran: {', '.join(name for name in wanted if counted[name])}"] if len(lost) < len(wanted) else []),
        *([f"did not run: {', '.join(lost)}"] if lost else []),
        *([f"ran too often: {', '.join(often)}"] if often else []),
        *([also] if also else []),
    ]
    if not lost and not often:
        return Outcome(mark="good", word="runs" if len(wanted) == 1 else "all run", observed="; ".join(told))
    if not often:
        word = "lost" if len(lost) == len(wanted) else f"{len(lost)} of {len(wanted)} lost"
        return Outcome(mark="poor", word=word, observed="; ".join(told))
    return Outcome(mark="poor", word="lost and repeated" if lost else "repeated", observed="; ".join(told))
