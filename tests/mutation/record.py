"""What has been found out so far, on a file: one line for each trial, so that a run may be continued."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.mutation.mutants import Mutant
from tests.mutation.trial import Outcome

_Key = tuple[str, str, str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """What is kept of an `Outcome`."""

    how: str
    by: str
    tests: int
    seconds: float

    @property
    def survived(self) -> bool:
        return self.how in {"survived", "unseen"}


class Record:
    """The trials of one folder: the last one of each mutant.

    Args:
        path: of the file; it need not be there.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._trials: dict[_Key, Trial] = {}
        if path.exists():
            for line in path.read_text().splitlines():
                self._take(json.loads(line))

    def note(self, outcome: Outcome) -> None:
        """Keep how a trial has ended."""
        kept = {"how": outcome.how, "by": outcome.by, "tests": outcome.tests, "seconds": round(outcome.seconds, 2)}
        with self._path.open("a") as file:
            file.write(json.dumps({"key": _key(outcome.mutant), **kept}) + "\n")

    def of(self, mutant: Mutant) -> Trial | None:
        """The last trial; None if there was none."""
        return self._trials.get(_key(mutant))

    def _take(self, kept: dict[str, Any]) -> None:
        target, was, becomes, nth = kept.pop("key")
        self._trials[target, was, becomes, nth] = Trial(**kept)


def _key(mutant: Mutant) -> _Key:
    return *mutant.key, mutant.nth
