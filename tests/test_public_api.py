"""The public names: what they are, how they are called, and that nothing else is needed."""

import ast
import subprocess
import sys
from difflib import unified_diff
from importlib import import_module
from pathlib import Path

import pytest

from tests.pages import PAGES, all_blocks
from tests.public_api import FILE, MODULES, public_api
from tests.public_api_text import render


def test_the_public_api_is_what_it_was() -> None:
    """A change is a decision and not an accident: ``make api`` writes it down, and it shows where it is read."""
    was, now = FILE.read_text().splitlines(), render(public_api()).splitlines()
    changed = "\n".join(unified_diff(was, now, "public_api.txt", "the sources", lineterm=""))
    assert not changed, f"{changed}\n\nmake api writes tests/public_api.txt anew, if that is meant"


def test_what_the_sources_say_can_be_imported() -> None:
    """Each name from its module, and ``*`` gives the same."""
    for module, names in public_api().modules.items():
        imported = import_module(module)
        assert all(hasattr(imported, name) for name in names), module
        assert set(getattr(imported, "__all__", names)) == names.keys(), module


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_pages_use_nothing_else(page: Path) -> None:
    """What a reader is told to import is what we keep."""
    names = public_api().modules
    for block in all_blocks(page):
        for node in ast.walk(ast.parse(block.text if block.language == "python" else "")):
            if isinstance(node, ast.ImportFrom) and node.module and node.module.partition(".")[0] == "bg_di":
                assert node.module in MODULES, node.module
                assert {alias.name for alias in node.names} <= names[node.module].keys(), ast.unparse(node)


@pytest.mark.parametrize("module", ["bg_di", "bg_di.backends", "bg_di.testing"])
def test_nothing_that_need_not_be_installed_is_imported(module: str) -> None:
    """Extras, and what tests use."""
    missing = ("httpx", "stamina", "aio_pika", "opentelemetry", "sentry_sdk", "sqlalchemy", "ellar_sql", "ellar_cli")
    code = f"import sys; sys.modules.update(dict.fromkeys({missing!r})); import {module}"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
