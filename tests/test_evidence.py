"""What the page of evidence says of bg_di is so, and it says nothing that was not measured, asked or counted."""

import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import records
from benchmarks.behaviour.__main__ import asked
from benchmarks.behaviour.environments import pinned
from benchmarks.behaviour.host import Host
from benchmarks.behaviour.peers import PEERS, Peer
from benchmarks.behaviour.question import Question
from benchmarks.behaviour.questions import QUESTIONS
from benchmarks.evidence.__main__ import DOCS
from benchmarks.evidence.page import ASSETS, gathered, page, pictures

[OURS] = [peer for peer in PEERS if peer.name == "bg_di"]


@pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
def test_bg_di_still_answers_as_the_record_says(question: Question) -> None:
    """Asked as everybody is, in this environment."""
    recorded = records.read("behaviour").found[question.name][OURS.name]
    found = asked(question, Host(OURS, sys.executable))
    assert (found.mark, found.word) == (recorded["mark"], recorded["word"]), found.observed


def test_every_framework_was_asked_every_question() -> None:
    """A run that was cut short is no record."""
    found = records.read("behaviour").found
    assert {name: set(row) for name, row in found.items()} == {
        question.name: {peer.name for peer in PEERS} for question in QUESTIONS
    }


@pytest.mark.parametrize("peer", PEERS, ids=lambda peer: peer.name)
def test_the_record_is_of_the_pinned_versions(peer: Peer) -> None:
    """Each framework is asked at the version that its requirements pin, as is all that it needs."""
    versions = pinned(peer.name)
    assert "uvicorn" in versions
    if peer is not OURS:
        assert records.read("behaviour").where[peer.title] == versions[peer.package]


def test_the_page_is_what_was_written_down() -> None:
    """If it is not, ``python -m benchmarks.evidence`` writes it anew."""
    evidence = gathered()
    assert (DOCS / "evidence.md").read_text() == page(evidence)
    assert {path.name: path.read_text() for path in (DOCS / ASSETS).iterdir()} == pictures(evidence)


def test_figures_load_nothing() -> None:
    """Neither fonts nor scripts nor anything else, and they can be read by what they show."""
    for picture in pictures(gathered()).values():
        drawing = ElementTree.fromstring(picture)
        assert {element.tag.rpartition("}")[2] for element in drawing.iter()} <= {
            "svg",
            "style",
            "text",
            "rect",
            "line",
        }
        assert "http" not in picture.replace("http://www.w3.org/2000/svg", "")


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Whatever was found."""
    record = records.RunRecord(command="make it", where={"CPU": "one"}, found={"wrong": [], "told": {"lost": 0}})
    records.write("it", record, tmp_path)
    assert records.read("it", tmp_path) == record
