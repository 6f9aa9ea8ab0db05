"""The table of behaviour, and what was observed for each of its answers."""

import re
from collections import Counter
from collections.abc import Iterable, Mapping

from benchmarks.behaviour.outcome import Mark
from benchmarks.behaviour.peers import PEERS
from benchmarks.behaviour.question import Question
from benchmarks.behaviour.questions import GROUPS
from benchmarks.records import RunRecord
from benchmarks.report import table

Answer = Mapping[str, str]

SIGNS: dict[str, str] = {"good": "✓", "fair": "○", "poor": "✗", "absent": "—"}
_MARKS: tuple[Mark, ...] = ("good", "fair", "poor", "absent")


def counts(record: RunRecord) -> dict[str, Counter[str]]:
    """How often each framework got each mark."""
    return {peer.name: Counter(row[peer.name]["mark"] for row in record.found.values()) for peer in PEERS}


def answers_table(record: RunRecord) -> str:
    """One line a question, and below how often which mark was given."""
    rows: list[list[str]] = []
    for group, questions in GROUPS.items():
        rows.append([f"**{group}**", *("" for _ in PEERS)])
        rows += [[f"[{each.title}](#{_anchor(each)})", *_cells(record.found[each.name])] for each in questions]
    counted = counts(record)
    totals = [
        ", ".join(f"{SIGNS[mark]} {counted[peer.name][mark]}" for mark in _MARKS if counted[peer.name][mark])
        for peer in PEERS
    ]
    return table(["", *(peer.title for peer in PEERS)], [*rows, ["**Together**", *totals]])


def ways_table(record: RunRecord) -> str:
    """Which versions were asked, and how tasks are added to each."""
    rows = [[peer.title, record.where[peer.title], peer.way] for peer in PEERS]
    return table(["", "Version", "How its documentation has tasks added"], rows)


def observations(record: RunRecord) -> Iterable[str]:
    """A section for each question."""
    for group, questions in GROUPS.items():
        yield f"### {group}"
        for question in questions:
            yield f"#### {question.title}"
            yield question.judged
            yield _observed(record.found[question.name])
            yield f"Again: `python -m benchmarks.behaviour --question {question.name}`"


def _observed(answers: Mapping[str, Answer]) -> str:
    rows = [
        [peer.title, _cell(answers[peer.name]), answers[peer.name]["observed"].replace("|", "\\|")] for peer in PEERS
    ]
    return table(["", "Answer", "What was seen"], rows)


def _cells(answers: Mapping[str, Answer]) -> Iterable[str]:
    """What is not offered needs no word here."""
    found = (answers[peer.name] for peer in PEERS)
    return (SIGNS["absent"] if each["mark"] == "absent" else _cell(each) for each in found)


def _cell(answer: Answer) -> str:
    return f"{SIGNS[answer['mark']]} {answer['word']}"


def _anchor(question: Question) -> str:
    """What a heading can be reached by."""
    words = re.sub(r"[^\w\s-]", "", question.title.lower())
    return re.sub(r"[\s]+", "-", words.strip())
