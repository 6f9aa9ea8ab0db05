"""What the page about costs shows stands in the results."""

import re

import pytest

from tests.pages import DOCS

PAGE = DOCS / "explanation" / "costs.md"
_ROWS = re.findall(r"^\| (.+) \| \[results\]\(([^)]+)\) \|$", PAGE.read_text(), re.MULTILINE)
_FIGURE = re.compile(r"\d[\d,.]*")


@pytest.mark.parametrize(("row", "results"), _ROWS, ids=[row for row, _ in _ROWS])
def test_each_figure_was_measured(row: str, results: str) -> None:
    """Each stands in the file that its row leads to: who measures anew writes the page anew."""
    _, *cells = row.split(" | ")
    measured = set(_FIGURE.findall((PAGE.parent / results).read_text()))
    figures = set(_FIGURE.findall(" ".join(cells)))
    assert figures
    assert figures <= measured


def test_there_are_figures() -> None:
    """Of each of the three."""
    assert {results.rpartition("/")[2] for _, results in _ROWS} == {"RESULTS.md", "DURABLE.md", "RABBITMQ.md"}
