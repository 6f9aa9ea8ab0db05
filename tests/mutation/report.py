"""REPORT.md: what was tried, what survived, and why it may."""

import tomllib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.mutation.record import Record, Trial

REASONS = Path(__file__).with_name("equivalent.toml")


@dataclass(frozen=True, slots=True)
class Survivor:
    """A mutant that no test has killed, and the reason why none can, if one is known."""

    mutant: Mutant
    trial: Trial
    reason: str | None


def reasons(path: Path = REASONS) -> dict[tuple[str, str, str], str]:
    """Why mutants are equivalent, by what a mutant is called."""
    found = {}
    for group in tomllib.loads(path.read_text())["equivalent"]:
        for was, becomes in group["mutants"]:
            found[group["file"], was, becomes] = group["because"]
    return found


def survivors(mutants: Sequence[Mutant], record: Record) -> list[Survivor]:
    """In the order of the files."""
    known = reasons()
    tried = ((mutant, record.of(mutant)) for mutant in mutants)
    return [Survivor(each, trial, known.get(each.key)) for each, trial in tried if trial and trial.survived]


def unneeded(mutants: Sequence[Mutant], record: Record) -> list[tuple[str, str, str]]:
    """Reasons that are given for what does not survive, or is there no more."""
    needed = {each.mutant.key for each in survivors(mutants, record)}
    tried = {mutant.target for mutant in mutants if record.of(mutant)}
    return [key for key in reasons() if key[0] in tried and key not in needed]


def report(mutants: Sequence[Mutant], record: Record, settings: str, note: str) -> str:
    """The text, of a record as it stands."""
    left = survivors(mutants, record)
    return "\n".join([*_head(settings, note), *_table(mutants, record, left), *_open(left), *_explained(left)]) + "\n"


def _head(settings: str, note: str) -> list[str]:
    return [
        "# What a change of one line is noticed by",
        "",
        f"Written by `python -m tests.mutation` on {date.today().isoformat()}, {settings}.",
        "What it does is said in [its docstring](__init__.py).",
        *([note] if note else []),
        "",
    ]


def _table(mutants: Sequence[Mutant], record: Record, left: Sequence[Survivor]) -> list[str]:
    lines = [
        "| file | mutants | tried | killed | of these by time | equivalent | open | seconds |",
        "|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    targets = list(dict.fromkeys(mutant.target for mutant in mutants))
    rows = [_row(target, [each for each in mutants if each.target == target], record, left) for target in targets]
    total = [sum(column) for column in zip(*rows, strict=True)]
    for name, row in [*((f"`{each}`", row) for each, row in zip(targets, rows, strict=True)), ("all", total)]:
        lines.append(f"| {name} | {' | '.join(map(str, row))} |")
    return [*lines, ""]


def _row(target: str, mutants: Sequence[Mutant], record: Record, left: Sequence[Survivor]) -> list[int]:
    trials = [trial for mutant in mutants if (trial := record.of(mutant))]
    how = Counter(trial.how for trial in trials)
    reasoned = Counter(each.reason is not None for each in left if each.mutant.target == target)
    killed, late = how["killed"] + how["too slow"], how["too slow"]
    seconds = round(sum(trial.seconds for trial in trials))
    return [len(mutants), len(trials), killed, late, reasoned[True], reasoned[False], seconds]


def _open(left: Sequence[Survivor]) -> list[str]:
    found = [each for each in left if each.reason is None]
    return ["## Open", "", "No test has killed these, and nobody has said why.", "", *_listed(found)] if found else []


def _explained(left: Sequence[Survivor]) -> list[str]:
    lines = ["## Equivalent", "", "No test can kill these, or none should, for the reason given.", ""]
    by_reason: dict[tuple[str, str], list[Survivor]] = {}
    for each in left:
        if each.reason is not None:
            by_reason.setdefault((each.mutant.target, each.reason), []).append(each)
    for (_, reason), found in by_reason.items():
        lines += [reason, "", *_listed(found)]
    return lines


def _listed(found: Sequence[Survivor]) -> list[str]:
    lines = []
    for each in found:
        mutant = each.mutant
        lines += [
            "```diff",
            f"@@ {mutant.target}:{mutant.line} @@",
            f"- {mutant.was}",
            f"+ {mutant.becomes}",
            "```",
            "",
        ]
    return lines
