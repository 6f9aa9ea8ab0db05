"""What the command does."""

import argparse
import importlib
import time
from collections.abc import Collection
from functools import partial
from pathlib import Path

import hypothesis

from tests.mutation.mutants import Mutant, control_of, mutants_of
from tests.mutation.record import Record, Trial
from tests.mutation.report import reasons, report, survivors, unneeded
from tests.mutation.run import Plan, shuffled, try_all
from tests.mutation.targets import ROOT, TARGETS
from tests.mutation.trial import Outcome

# So that a fork need not import them.
_KNOWN = ("ellar.app", "ellar.testing", "ellar_sql", "starlette.testclient", "httpx", "trio", "uvloop", "aiosqlite")


def work(options: argparse.Namespace, folder: Path) -> int:
    """Try what has not been tried or has survived, and write the report; return 1 if something survives unexplained."""
    # The same examples for each mutant, however long they take on a machine that has other things to do.
    checks = list(hypothesis.HealthCheck)
    hypothesis.settings.register_profile(
        "mutation", derandomize=True, database=None, deadline=None, suppress_health_check=checks
    )
    hypothesis.settings.load_profile("mutation")
    for name in _KNOWN:
        importlib.import_module(name)
    every = [mutant for target in options.target or TARGETS for mutant in mutants_of(ROOT, target)]
    record = Record(folder / "trials")
    known = reasons()
    todo = [mutant for mutant in every if _is_asked(options, mutant, record.of(mutant), known)]
    print(f"{len(todo)} of {len(every)} mutants", flush=True)
    began = time.monotonic()
    try_all(
        Plan(
            mutants=shuffled(todo, options.seed),
            control=control_of(ROOT, todo[0].target if todo else TARGETS[0]),
            asked=options.tests or ["tests"],
            jobs=options.jobs,
            until=began + 60 * options.minutes,
            longest=options.longest,
            passes=folder / "passes",
        ),
        partial(_told, record),
    )
    print(f"{(time.monotonic() - began) / 60:.0f} minutes", flush=True)
    record = Record(folder / "trials")
    for key in unneeded(every, record):
        print("this reason is not needed:", *key)
    if options.report:
        options.report.write_text(report(every, record, f"{options.jobs} mutants at a time, seed {options.seed}"))
    return any(each.reason is None for each in survivors(every, record))


def _is_asked(options: argparse.Namespace, mutant: Mutant, trial: Trial | None, known: Collection[object]) -> bool:
    is_open = trial is None or (trial.survived and mutant.key not in known)
    return is_open and (not options.line or mutant.line in options.line)


def _told(record: Record, outcome: Outcome) -> None:
    record.note(outcome)
    if outcome.how in {"survived", "unseen"}:
        mutant = outcome.mutant
        print(f"{mutant.target}:{mutant.line} {outcome.how}, {outcome.tests} tests, {outcome.seconds:.1f} s")
        print(f"  - {mutant.was}\n  + {mutant.becomes}", flush=True)
