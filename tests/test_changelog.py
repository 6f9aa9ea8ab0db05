"""What is released is told."""

import re
import tomllib

from tests.pages import ROOT


def test_the_version_that_is_released_is_the_latest_of_the_changelog() -> None:
    """Which has a day for each; what is not released yet is in fragments, whose names ``make news`` checks."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    told = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ \(\d{4}-\d\d-\d\d\)", heading) for heading in told)
    assert told[0].startswith(f"{project['version']} (")
