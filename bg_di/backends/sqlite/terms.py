"""On which terms deliveries are given out, kept and lost: what a user has chosen, durations as numbers."""

from dataclasses import dataclass
from typing import Final

# As long as nothing asks for less: a dead process is noticed within it.
_LONGEST_BEAT: Final = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """What holds for all consumers of an engine. All but the first are seconds.

    Attributes:
        max_deliveries: of an attempt, before its task is dead.
        lease: how long a delivery stays its owner's without being renewed.
        unknown_after: how long a task waits for somebody who knows it, before it is dead.
        keep: how long what is done stays.
        busy_timeout: how long others are waited for who write to the file.
    """

    max_deliveries: int
    lease: float
    unknown_after: float
    keep: float
    busy_timeout: float

    @property
    def beat(self) -> float:
        """Seconds between two heartbeats: several fit into whatever must not be missed."""
        return min(_LONGEST_BEAT, self.lease / 6, self.unknown_after / 8)
