"""What the README and the pages say is true."""

import ast
import logging
import re
import sys
from pathlib import Path

import pytest

from tests.pages import PAGES, ROOT, all_blocks
from tests.reader import Reader, free_ports


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_is_true(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who types what stands there, block after block, sees what is shown; what is asserted holds."""
    logging.getLogger("ellar").setLevel(logging.WARNING)
    environment = {"SHOP_FOLDER": str(tmp_path)}
    if "RABBITMQ_URL" in page.read_text():
        environment |= request.getfixturevalue("broker").for_a_shell
    with Reader(page, tmp_path, environment, free_ports(page)) as reader, monkeypatch.context() as reading:
        for name, value in reader.environment.items():
            reading.setenv(name, value)
        reading.chdir(reader.home)
        reader.read()


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_every_link_within_the_project_leads_somewhere(page: Path) -> None:
    """Files exist, and a link that names a test leads to the file that has it."""
    for text, target in re.findall(r"\[([^\]]+)\]\(([^)#]+)\)", page.read_text()):
        if target.startswith("http"):
            continue
        linked = page.parent / target
        assert linked.exists(), target
        name = text.strip("`")
        if name.startswith("test_"):
            assert f"def {name}(" in linked.read_text(), name


# What the README has installed, and what a page has to name for whatever else it imports.
_INSTALLED = {"bg_di", "ellar", "httpx", "injector", "pydantic", "pytest", "starlette", "uvicorn", "anyio"}
_TO_INSTALL = {
    "celery": ["celery"],
    "ellar_sql": ["ellar-sql", "greenlet"],
    "fastapi": ["fastapi"],
    "opentelemetry": ["otel", "opentelemetry-sdk", "opentelemetry-instrumentation-asgi"],
    "sentry_sdk": ["sentry"],
    "sqlalchemy": ["ellar-sql", "greenlet"],
    "structlog": ["structlog"],
}


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_a_page_says_what_it_needs(page: Path) -> None:
    """Where that is more than the README installs."""
    blocks = [block for block in all_blocks(page) if block.language == "python"]
    own = {part for block in blocks for part in re.split(r"[/.]", block.title)}
    nodes = [node for block in blocks for node in ast.walk(ast.parse(block.text))]
    imported = {each.name for node in nodes if isinstance(node, ast.Import) for each in node.names}
    imported |= {node.module or "" for node in nodes if isinstance(node, ast.ImportFrom)}
    others = {name.split(".")[0] for name in imported} - own - _INSTALLED - sys.stdlib_module_names
    for name in others:
        for each in _TO_INSTALL[name]:
            assert f"`{each}`" in page.read_text(), f"{name} needs {each}"


def test_every_row_of_the_comparison_has_a_test() -> None:
    """A claim without one is not made."""
    table = (ROOT / "README.md").read_text().split("| shown by |")[1].split("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "---" not in row]
    assert len(rows) >= 12
    assert all("](tests/test_" in row for row in rows)
