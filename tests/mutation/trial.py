"""A trial: a fork in which tests run with a mutant, until one fails."""

import os
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.mutation.mutants import Mutant
from tests.mutation.names import name_all, name_of

# Seconds that a test has, however fast it was: as much as a busy machine needs.
_SHORTEST = 15
# And as many times as long as it took without a mutant.
_TIMES = 10
# Of addresses, of which threads reserve many.
_MEMORY = 16 * 1024**3


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a trial has ended.

    Attributes:
        mutant: what was tried.
        how: ``killed``, ``too slow`` (killed, too: a test did not end), ``survived``, or ``unseen``, by no test at all.
        by: the test.
        tests: how many were to be asked.
        seconds: how long it took.
    """

    mutant: Mutant
    how: str
    by: str
    tests: int
    seconds: float


# A mutant, how many tests are asked, and what a fork does with its folder.
Todo = tuple[Mutant, int, Callable[[Path], int]]


@dataclass(slots=True)
class _Running:
    mutant: Mutant
    tests: int
    folder: Path
    began: float


class Trials:
    """Runs several at a time.

    Args:
        jobs: how many.
        until: when no other begins, as `time.monotonic` says it.
    """

    def __init__(self, jobs: int, until: float) -> None:
        self._jobs, self._until = jobs, until
        self._running: dict[int, _Running] = {}

    def run(self, todo: Iterable[Todo]) -> Iterator[Outcome]:
        """Try what can be begun in time."""
        for mutant, tests, work in todo:
            if time.monotonic() > self._until:
                break
            if not tests:
                yield Outcome(mutant, "unseen", "", 0, 0.0)
                continue
            while len(self._running) >= self._jobs:
                yield self._ended()
            folder = Path(tempfile.mkdtemp(prefix="mutant-"))
            pid = fork(partial(_in_order, work, folder))
            self._running[pid] = _Running(mutant, tests, folder, time.monotonic())
        while self._running:
            yield self._ended()

    def _ended(self) -> Outcome:
        pid, status = os.wait()
        trial = self._running.pop(pid)
        end_group(pid)
        note = trial.folder / "now"
        by = note.read_text() if note.exists() else "(the import)"
        shutil.rmtree(trial.folder, ignore_errors=True)
        how = _how(status)
        return Outcome(trial.mutant, how, "" if how == "survived" else by, trial.tests, time.monotonic() - trial.began)


def _in_order(work: Callable[[Path], int], folder: Path) -> int:
    try:
        return work(folder)
    except BaseException:  # the mutant may raise anything anywhere
        (folder / "now").write_text(traceback.format_exc())
        raise


def _how(status: int) -> str:
    if os.WIFSIGNALED(status):
        return "too slow" if os.WTERMSIG(status) == signal.SIGALRM else "killed"
    return "survived" if os.WEXITSTATUS(status) == 0 else "killed"


def fork(work: Callable[[], int]) -> int:
    """Start a process that does it, in a group of its own and in silence; what `work` returns is how it ends."""
    sys.stdout.flush()
    pid = os.fork()
    if pid:
        with suppress(OSError):  # it has done so itself, or is gone
            os.setpgid(pid, pid)
        return pid
    code = 3
    try:
        with suppress(OSError):
            os.setpgid(0, 0)
        nowhere = os.open(os.devnull, os.O_RDWR)
        for stream in range(3):
            os.dup2(nowhere, stream)
        code = work()
    finally:
        os._exit(code)


def end_group(pid: int) -> None:
    """End what a process has left behind."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


class Watchdog:
    """A plugin that ends the process when a test takes too long, and notes which one runs, and whether one failed."""

    def __init__(self, folder: Path, seconds: dict[str, float]) -> None:
        self._note, self._seconds = folder / "now", seconds
        self.failed = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._note.write_text(item.nodeid)
        signal.alarm(_SHORTEST + int(_TIMES * self._seconds.get(name_of(item), 1.0)))
        result = yield
        signal.alarm(0)
        return result

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.failed = self.failed or report.failed


def run_collected(session: pytest.Session, tests: list[str], folder: Path, seconds: dict[str, float]) -> int:
    """Run some of the tests that have been collected, until one fails; return 1 if one has."""
    prepare(folder)
    watchdog = Watchdog(folder, seconds)
    session.config.pluginmanager.register(watchdog)
    keep_files(session.config, folder)
    items = {name_of(item): item for item in session.items}
    asked = [items[test] for test in tests]
    for item, following in zip(asked, [*asked[1:], None], strict=True):
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
        if watchdog.failed:
            return 1
    return 0


def run_imported(tests: list[str], folder: Path, seconds: dict[str, float], options: list[str]) -> int:
    """Import what some tests need and run them, until one fails; return what pytest returns."""
    prepare(folder)
    signal.alarm(8 * _SHORTEST)
    files = sorted({test.partition("::")[0] for test in tests})
    return int(pytest.main([*options, "-x", *files], plugins=[Watchdog(folder, seconds), Chosen(tests, folder)]))


class Chosen:
    """A plugin that leaves of what is collected some tests, in their order."""

    def __init__(self, tests: list[str], folder: Path) -> None:
        self._tests, self._folder = tests, folder

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        name_all(items)
        found = {name_of(item): item for item in items}
        items[:] = [found[test] for test in self._tests]
        keep_files(config, self._folder)


def prepare(folder: Path) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tempfile.tempdir = str(folder)


def keep_files(config: pytest.Config, folder: Path) -> None:
    """Let the tests write there, where others do not tidy up."""
    factory: Any = config._tmp_path_factory  # type: ignore[attr-defined]
    factory._basetemp = folder / "files"
    factory._basetemp.mkdir()
