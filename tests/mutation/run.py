"""All of it: collect, watch the tests once, try the mutants, and tell of each how it ended."""

import json
import math
import os
import random
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest

from tests.mutation.exchange import Exchange, Importing, Pair
from tests.mutation.mutants import Mutant
from tests.mutation.names import name_all
from tests.mutation.passes import Passes, Watch
from tests.mutation.targets import LEFT_OUT, ROOT, TARGETS, is_asked
from tests.mutation.trial import Outcome, Todo, Trials, end_group, fork, run_collected, run_imported

# Without what notes and shows: nobody looks at it.
# And without the warning that some plugins are imported before.
OPTIONS = [
    *("-q", "-s", "-p", "no:cacheprovider", "-W", "ignore::pytest.PytestAssertRewriteWarning"),
    *(f"--ignore={path}" for path in LEFT_OUT),
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How much is to be tried.

    Attributes:
        mutants: all of them, in the order in which they are tried.
        control: what is none: that it survives shows that others are killed by what they are.
        asked: the files and folders whose tests are to see them.
        jobs: how many at a time.
        until: when no other begins.
        longest: seconds of tests, as they take without a mutant, that one mutant is worth.
        passes: where it is kept which tests pass where.
    """

    mutants: Sequence[Mutant]
    control: Mutant
    asked: Sequence[str]
    jobs: int
    until: float
    longest: float
    passes: Path

    def tests(self, passes: Passes, mutant: Mutant) -> list[str]:
        """Those that may see a mutant and are worth it, the fastest first."""
        asked: list[str] = []
        left = self.longest
        for test in passes.tests(mutant.target, mutant.lines):
            if passes.seconds[test] <= left:
                left -= passes.seconds[test]
                asked.append(test)
        return asked


def try_all(plan: Plan, told: Callable[[Outcome], None]) -> None:
    """Try the mutants, each as fast as it can be."""
    assert not any(name.split(".")[0] == "bg_di" for name in sys.modules), "it is to be imported by each fork"
    read, write = os.pipe()
    # What has been imported cannot be imported again: so those by exchanged code are tried in a fork.
    pid = os.fork()
    if not pid:
        os.close(read)
        code = 1
        try:
            code = _in_fork(plan, told, write)
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(code)
    os.close(write)
    with os.fdopen(read) as pipe:
        rest = set(json.loads(pipe.read() or "[]"))
    _, status = os.waitpid(pid, 0)
    if status:
        raise SystemExit("the tests fail without any mutant")
    passes = Passes.read(plan.passes)
    _survives(plan.control, partial(_import, plan.control, plan.tests(passes, plan.control), passes))
    for outcome in Trials(plan.jobs, plan.until).run(_imported(plan, passes, rest)):
        told(outcome)


def _imported(plan: Plan, passes: Passes, rest: set[int]) -> Iterator[Todo]:
    for place in sorted(rest):
        mutant = plan.mutants[place]
        # What only runs while the module is imported no test passes by.
        tests = plan.tests(passes, mutant) or plan.tests(passes, replace(mutant, lines=frozenset()))
        yield mutant, len(tests), partial(_import, mutant, tests, passes)


def _import(mutant: Mutant, tests: list[str], passes: Passes, folder: Path) -> int:
    Importing(ROOT, mutant).install()
    return run_imported(tests, folder, passes.seconds, OPTIONS)


def _in_fork(plan: Plan, told: Callable[[Outcome], None], rest: int) -> int:
    return int(pytest.main([*OPTIONS, *plan.asked], plugins=[_Loop(plan, told, rest)]))


class _Loop:
    """A plugin that tries mutants in the place of running the tests once."""

    def __init__(self, plan: Plan, told: Callable[[Outcome], None], rest: int) -> None:
        self._plan, self._told, self._rest = plan, told, rest

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        name_all(items)
        items[:] = [item for item in items if is_asked(item.nodeid)]

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if not self._plan.passes.exists():
            _watch(session, self._plan.passes)
        passes = Passes.read(self._plan.passes)
        exchange = Exchange(ROOT, TARGETS)
        control = partial(_exchange, session, exchange, [], self._plan.tests(passes, self._plan.control), passes)
        _survives(self._plan.control, control)
        pairs = {place: exchange.pairs(mutant) for place, mutant in enumerate(self._plan.mutants)}
        for outcome in Trials(self._plan.jobs, self._plan.until).run(self._todo(session, passes, exchange, pairs)):
            self._told(outcome)
        with os.fdopen(self._rest, "w") as pipe:
            pipe.write(json.dumps([place for place, found in pairs.items() if found is None]))
        return True

    def _todo(
        self, session: pytest.Session, passes: Passes, exchange: Exchange, pairs: dict[int, list[Pair] | None]
    ) -> Iterator[Todo]:
        for place, found in pairs.items():
            mutant = self._plan.mutants[place]
            tests = self._plan.tests(passes, mutant)
            if found is None:
                continue
            yield mutant, len(tests), partial(_exchange, session, exchange, found, tests, passes)


def _exchange(
    session: pytest.Session, exchange: Exchange, pairs: list[Pair], tests: list[str], passes: Passes, folder: Path
) -> int:
    exchange.make(pairs)
    return run_collected(session, tests, folder, passes.seconds)


def _survives(control: Mutant, work: Callable[[Path], int]) -> None:
    for outcome in Trials(1, math.inf).run([(control, 1, work)]):
        print(f"the control, without a change: {outcome.how} {outcome.by}", flush=True)
        if outcome.how != "survived":
            raise SystemExit("a test fails without any mutant")


def _watch(session: pytest.Session, path: Path) -> None:
    """Run all tests once in a fork, and keep where they pass. Those that fail already are not asked of mutants."""
    failed = path.with_suffix(".failed")
    pid = fork(partial(_watched, session, path, failed))
    os.waitpid(pid, 0)
    end_group(pid)
    for test in failed.read_text().splitlines():
        print("this test fails without a mutant and is not asked:", test, flush=True)


def _watched(session: pytest.Session, path: Path, failed: Path) -> int:
    watch = Watch(ROOT, TARGETS)
    session.config.pluginmanager.register(watch)
    watch.start()
    for number, (item, following) in enumerate(zip(session.items, [*session.items[1:], None], strict=True)):
        path.with_suffix(".begun").write_text(f"{number} of {len(session.items)}: {item.nodeid}")
        item.config.hook.pytest_runtest_protocol(item=item, nextitem=following)
    watch.stop().write(path)
    failed.write_text("\n".join(sorted(watch.failed)))
    return 0


def shuffled(mutants: Sequence[Mutant], seed: int) -> list[Mutant]:
    """In an order that is the same each time, so that what there was no time for is spread over all files."""
    return random.Random(seed).sample(mutants, len(mutants))
