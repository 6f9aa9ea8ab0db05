"""What the README and the pages say is true."""

import logging
import re
import runpy
from pathlib import Path

import pytest

from tests.pages import DOCS, ROOT, blocks

PAGES = [ROOT / "README.md", *sorted(DOCS.glob("**/*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(
    page: Path, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One after another, as a reader would type them; what they assert holds."""
    logging.getLogger("ellar").setLevel(logging.WARNING)
    monkeypatch.setenv("SHOP_FOLDER", str(tmp_path))
    if "RABBITMQ_URL" in page.read_text():
        monkeypatch.setenv("RABBITMQ_URL", request.getfixturevalue("broker").url)
    script = tmp_path / f"{page.stem}.py"
    script.write_text("\n".join(blocks(page)))
    runpy.run_path(str(script), run_name=page.stem)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
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


def test_every_row_of_the_comparison_has_a_test() -> None:
    """A claim without one is not made."""
    table = (ROOT / "README.md").read_text().split("| shown by |")[1].split("\n\n")[0]
    rows = [row for row in table.splitlines() if row.startswith("| ") and "---" not in row]
    assert len(rows) >= 12
    assert all("](tests/test_" in row for row in rows)
