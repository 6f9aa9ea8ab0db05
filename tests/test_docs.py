"""What the README and the pages say is true."""

import logging
import re
import runpy
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("**/*.md"))]


def blocks(page: Path) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_python_block_runs(page: Path, tmp_path: Path) -> None:
    """One after another, as a reader would type them; what they assert holds."""
    logging.getLogger("ellar").setLevel(logging.WARNING)
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
