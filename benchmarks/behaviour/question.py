"""A question that is asked of every framework."""

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked, and how the answer is found, from outside.

    Attributes:
        title: in a few words.
        judged: what is done, and what counts.
    """

    name: str
    title: str
    judged: str
    ask: Callable[[Host], Outcome]
