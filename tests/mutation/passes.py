"""Which tests pass by which lines, and how long each takes."""

import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import coverage
import pytest

from tests.mutation.names import name_of

# So many tests of one function, before more of others; and those that take so many seconds with the next ones.
_AT_ONCE = 1
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
        """Those that pass by one of some lines, or anywhere in the file where there are none.

        The fastest come first, and of those that one function makes one.
        """
        of = self.lines.get(target, {})
        asked = [of[str(line)] for line in lines if str(line) in of] if lines else of.values()
        made: Counter[str] = Counter()
        ranked: list[tuple[int, float, str]] = []
        for test in sorted({test for tests in asked for test in tests}, key=self.seconds.__getitem__):
            function = test.partition("#")[0]
            late = self.seconds[test] >= _SLOW
            ranked.append((made[function] // _AT_ONCE + late, self.seconds[test], test))
            made[function] += 1
        return [test for _, _, test in sorted(ranked)]


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
        self.failed: list[str] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(name_of(item))
        began = time.perf_counter()
        result = yield
        self._seconds[name_of(item)] = time.perf_counter() - began
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed:
            self.failed.append(report.nodeid)

    def start(self) -> None:
        self._coverage.start()

    def stop(self) -> Passes:
        self._coverage.stop()
        data = self._coverage.get_data()
        lines: dict[str, dict[str, list[str]]] = {}
        for target in self._targets:
            by_line = data.contexts_by_lineno(str(self._root / target))
            lines[target] = {
                str(line): [test for test in tests if test in self._seconds] for line, tests in by_line.items()
            }
        return Passes(self._seconds, lines)
