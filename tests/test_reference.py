"""The reference has all there is, and nothing else."""

import re
from dataclasses import fields
from pathlib import Path
from typing import Any, cast, get_args

import griffe
import pytest

import bg_di
import bg_di.backends
import bg_di.testing
from bg_di import errors
from bg_di.declaring.policy import Policy
from bg_di.observing.observer import Event
from bg_di.options import Options
from bg_di.record import NotRun, State
from mkdocs_hooks import layers
from mkdocs_hooks.errors import children
from mkdocs_hooks.log_lines import lines, sources
from mkdocs_hooks.parts import PARTS
from tests.pages import DOCS

REFERENCE = DOCS / "reference"


def rows(page: Path, head: str) -> list[str]:
    """The first cells of a table, without their backticks; of several names in one, each."""
    table = page.read_text().split(f"| {head} |", 1)[1].split("\n\n", 1)[0].splitlines()[2:]
    return [name for row in table for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def flat(literal: Any) -> list[str]:
    return [name for each in get_args(literal) for name in (flat(each) if get_args(each) else [each])]


def all_errors() -> list[str]:
    def below(error: type[errors.BackgroundTaskError]) -> list[str]:
        return [error.__name__, *(name for child in children(error) for name in below(child))]

    return below(errors.BackgroundTaskError)


@pytest.mark.parametrize("package", [bg_di, bg_di.backends, bg_di.testing], ids=lambda package: package.__name__)
def test_every_public_name_is_there(package: Any) -> None:
    text = "".join(page.read_text() for page in REFERENCE.glob("*.md"))
    documented = set(re.findall(r"^::: (\S+)$", text, re.MULTILINE)) | set(re.findall(r"\{ #(\S+) \}", text))
    known_elsewhere = {"Capability", "Seconds", "StoredState"}  # kinds of values: tables and signatures have them
    for name in package.__all__:
        assert {f"{package.__name__}.{name}", f"bg_di.errors.{name}"} & documented or name in known_elsewhere, name


def test_every_member_that_a_page_lists_is_there() -> None:
    """The site leaves out silently what it does not find."""
    found = [
        (name, member)
        for page in REFERENCE.glob("*.md")
        for name, members in re.findall(
            r"^::: (\S+)\n    options:\n      members: \[(.*)\]$", page.read_text(), re.MULTILINE
        )
        for member in members.split(", ")
        if member
    ]
    api = griffe.load("bg_di", resolve_aliases=True)
    assert len(found) > 20
    for name, member in found:
        assert member in cast(griffe.Class, api[name.removeprefix("bg_di.")]).all_members, (name, member)


def test_every_option_has_a_meaning() -> None:
    assert re.findall(r"^## (\w+)$", PARTS["options"](), re.MULTILINE) == [*Options.model_fields]


def test_every_policy_is_there() -> None:
    table = rows(
        REFERENCE / "policies.md", " | declared | by `using`, for one call | in the process | on an engine".strip()
    )
    assert {name for name in table if name in {field.name for field in fields(Policy)}} == {
        field.name for field in fields(Policy)
    }


def test_every_state_and_every_event_is_there() -> None:
    page = REFERENCE / "monitor.md"
    assert sorted(rows(page, "state | a task has it")) == sorted({*flat(State), *flat(NotRun)})
    assert sorted(rows(page, "event | when")) == sorted(get_args(Event))


def test_every_error_says_what_to_do() -> None:
    text = (REFERENCE / "errors.md").read_text()
    told = re.findall(r"^::: bg_di\.errors\.(\w+)\n\n\*\*What to do\.\*\* \S", text, re.MULTILINE)
    assert sorted(told) == sorted(all_errors())
    assert all(name in PARTS["error tree"]() for name in told)


def test_the_tree_of_errors_is_that_of_the_module() -> None:
    """Whose docstring draws it, too, for whoever reads the code."""
    drawn = re.findall(
        r"^([│├└─ ]*)(Back\w+|Out\w+|Invalid\w+|Message\w+|Module\w+|Task\w+)\b", errors.__doc__ or "", re.MULTILINE
    )
    assert sorted(name for _, name in drawn) == sorted(all_errors())


def test_every_promise_is_shown_by_a_test() -> None:
    """That the linked ones exist, the test of links says."""
    promises = re.split(r"^## ", (REFERENCE / "promises.md").read_text(), flags=re.MULTILINE)[1:]
    assert [promise.split(".")[0] for promise in promises] == [str(number) for number in range(1, 16)]
    for promise in promises:
        assert re.search(r"^\* \[`test_\w+`\]\(\.\./\.\./tests/", promise, re.MULTILINE), promise


def test_every_line_that_is_logged_is_there() -> None:
    logged = re.findall(
        r"^    +(?:logger\.(?:error|exception|warning|info)|_about|_on_engine)\(", "\n".join(sources()), re.MULTILINE
    )
    assert len(lines()) == len(logged)
    assert not [line for line in lines() if "%" in line.text or "TEXT" in line.text]
    assert "background task NAME of METHOD PATH was STATE: REASON" in [line.text for line in lines()]


def test_what_is_generated_is_asked_for_by_name() -> None:
    asked = [
        name
        for page in DOCS.glob("**/*.md")
        for name in re.findall(r"^\*Made from the code by `make docs`: (.*?)\.\*$", page.read_text(), re.MULTILINE)
    ]
    assert sorted(asked) == sorted(PARTS)


def test_the_drawing_of_the_layers_is_that_of_the_contract() -> None:
    """If not: ``python -m mkdocs_hooks.layers``."""
    assert layers.FILE.read_text() == layers.drawn()
