"""``make help`` tells of every command."""

import re
import subprocess

from tests.pages import ROOT


def test_every_command_is_told_and_said_what_it_is_for() -> None:
    """By ``make`` alone, too, which runs nothing."""
    commands = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    told = dict(line.split(maxsplit=1) for line in _make("help").splitlines())
    assert sorted(told) == sorted(" ".join(commands).split())
    assert _make() == _make("help")


def _make(*arguments: str) -> str:
    ended = subprocess.run(
        ["make", "--no-print-directory", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return ended.stdout
