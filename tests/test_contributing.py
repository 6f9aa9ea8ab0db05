"""Whoever carries the work on is told what is so."""

import re
import tomllib
from collections.abc import Iterator

from tests.pages import ROOT

PAGE = (ROOT / "CONTRIBUTING.md").read_text()


def test_the_picture_shows_the_layers_that_are_held() -> None:
    """All of them, in their order."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["name"].startswith("Data flows one way"))
    held = [{module.removeprefix("bg_di.") for module in re.split(r" [:|] ", layer)} for layer in layers]
    assert list(_drawn()) == held


def test_every_module_is_in_the_picture() -> None:
    """None is left to nobody."""
    there = {path.stem for path in (ROOT / "bg_di").iterdir() if path.is_dir() or path.suffix == ".py"}
    drawn = {module for layer in _drawn() for module in layer}
    assert drawn == {module for module in there if not module.startswith("__")}


def test_every_file_and_command_that_is_named_is_there() -> None:
    """A map of what was is worse than none."""
    named = set(re.findall(r"`([\w./-]+/[\w./-]*|[\w-]+\.(?:py|md|toml|txt))`", PAGE))
    folders = [ROOT, *(path for path in (ROOT / "bg_di").glob("**/") if path.is_dir())]
    missing = {name for name in named if not any((folder / name).exists() for folder in folders)}
    assert missing <= {".venv/bin/pytest", ".venv/bin/twine"}
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"`make (\w+)`", PAGE)) <= set(targets)


def _drawn() -> Iterator[set[str]]:
    """Layer after layer."""
    picture = PAGE.partition("```text\n")[2].partition("```")[0]
    rows = re.findall(r"^(\S.*?)  +\S", picture, re.MULTILINE)
    for layer in " > ".join(rows).split(" > "):
        yield set(layer.split(", "))
