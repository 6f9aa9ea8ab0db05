"""``python -m benchmarks.behaviour``: ask every framework every question, and keep the answers.

``--peer`` and ``--question`` ask only one, print what came out and keep nothing.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict

from benchmarks import records
from benchmarks.behaviour.environments import interpreter, pinned
from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome
from benchmarks.behaviour.peers import PEERS, Peer
from benchmarks.behaviour.question import Question
from benchmarks.behaviour.questions import QUESTIONS
from benchmarks.machine import installed_version, measured_on

Answers = dict[str, dict[str, Outcome]]


def asked(question: Question, host: Host) -> Outcome:
    """The answer, or why there is none."""
    if question.name in host.peer.without:
        return Outcome(mark="absent", word="not offered", observed=host.peer.without[question.name])
    return question.ask(host)


def ask(peers: Sequence[Peer], questions: Sequence[Question]) -> Answers:
    """Ask, one after another."""
    answers: Answers = {question.name: {} for question in questions}
    for peer in peers:
        host = Host(peer, interpreter(peer.name))
        for question in questions:
            answers[question.name][peer.name] = found = asked(question, host)
            print(f"{peer.title}, {question.name}: {found.word} ({found.observed})", file=sys.stderr, flush=True)
    return answers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.behaviour", description=__doc__)
    parser.add_argument("--peer", choices=[peer.name for peer in PEERS])
    parser.add_argument("--question", choices=[question.name for question in QUESTIONS])
    options = parser.parse_args()
    peers = [peer for peer in PEERS if options.peer in (None, peer.name)]
    questions = [question for question in QUESTIONS if options.question in (None, question.name)]
    answers = ask(peers, questions)
    if (len(peers), len(questions)) == (len(PEERS), len(QUESTIONS)):
        where = measured_on(*((peer.title, _version(peer)) for peer in peers), ("uvicorn", pinned("bg_di")["uvicorn"]))
        found = {name: {peer: asdict(each) for peer, each in row.items()} for name, row in answers.items()}
        records.write("behaviour", records.RunRecord(command="make behaviour", where=where, found=found))


def _version(peer: Peer) -> str:
    return installed_version("bg_di") if peer.package == "bg_di" else pinned(peer.name)[peer.package]


if __name__ == "__main__":
    main()
