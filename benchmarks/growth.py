"""How cost grows over many requests: it must not."""

from dataclasses import dataclass

from benchmarks.subjects import Subject
from benchmarks.timing import Block, Process

TASKS_A_REQUEST = (1, 10, 100, 1000)
_STEPS, STEP = 10, 10_000


@dataclass(frozen=True, slots=True)
class Endurance:
    """A subject over many requests, step by step."""

    subject: Subject
    steps: tuple[Block, ...]

    @property
    def grown(self) -> int:
        """Bytes of memory that the process has more after the last step than after the first."""
        return self.steps[-1].resident - self.steps[0].resident


def endured(subject: Subject) -> Endurance:
    """Send 100,000 requests, one after another, to one process."""
    with Process(subject) as process:
        return Endurance(subject, tuple(process.run(STEP) for _ in range(_STEPS)))
