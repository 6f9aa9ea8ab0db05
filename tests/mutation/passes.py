"""Which tests pass by which lines, and how long each takes."""

import json
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import pytest

from tests.mutation.names import name_of

# Seconds, from which on a test is slow.
_SLOW = 1.0


@dataclass(frozen=True, slots=True)
class Passes:
    """What a run without a mutant has shown.

    Attributes:
        seconds: how long each test takes, by its name.
        lines: by target the lines, as text, and the tests that have run them.
    """

    seconds: dict[str, float]
    lines: dict[str, dict[str, list[str]]]

    @classmethod
    def read(cls, path: Path) -> "Passes":
        return cls(**json.loads(path.read_text()))

    def write(self, path: Path) -> None:
        path.write_text(json.dumps(asdict(self)))

    def tests(self, target: str, lines: frozenset[int]) -> list[str]:
        """Those that pass by one of some lines; where there are none, all that stand beside one that passes by any.

        Of those that one function makes each time one comes before more of any, and the fastest first; slow ones last.
        """
        of = self.lines.get(target, {})
        asked = [of[str(line)] for line in lines if str(line) in of] if lines else [self._beside(of.values())]
        made: Counter[str] = Counter()
        ranked: list[tuple[bool, int, float, str]] = []
        for test in sorted({test for tests in asked for test in tests}, key=self.seconds.__getitem__):
            function = test.partition("#")[0]
            ranked.append((self.seconds[test] >= _SLOW, made[function], self.seconds[test], test))
            made[function] += 1
        return [test for *_, test in sorted(ranked)]

    def _beside(self, asked: Iterable[list[str]]) -> list[str]:
        files = {test.partition("::")[0] for tests in asked for test in tests}
        return [test for test in self.seconds if test.partition("::")[0] in files]


class Watch:
    """A plugin that notes it for each test."""

    def __init__(self, root: Path, targets: Sequence[str]) -> None:
        self._root, self._targets = root, targets
        self._coverage = coverage.Coverage(
            data_file=None,
            config_file=False,
            include=[str(root / target) for target in targets],
            concurrency=["thread"],
        )
        self._seconds: dict[str, float] = {}
        self._now = ""
        self.failed: set[str] = set()

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._now = name_of(item)
        self._coverage.switch_context(self._now)
        began = time.perf_counter()
        result = yield
        self._seconds[self._now] = time.perf_counter() - began
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.add(self._now)

    def start(self) -> None:
        self._coverage.start()

    def stop(self) -> Passes:
        """What has been seen, without tests that have failed."""
        self._coverage.stop()
        data = self._coverage.get_data()
        good = self._seconds.keys() - self.failed
        lines: dict[str, dict[str, list[str]]] = {}
        for target in self._targets:
            by_line = data.contexts_by_lineno(str(self._root / target))
            lines[target] = {str(line): [test for test in tests if test in good] for line, tests in by_line.items()}
        return Passes(self._seconds, lines)
