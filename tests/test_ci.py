"""What runs on the server, and before a commit, is what can be run by hand."""

import re
import tomllib
from typing import Any

import yaml  # type: ignore[import-untyped]

from tests.pages import ROOT


def _read(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text())


def test_the_server_runs_exactly_what_can_be_run_by_hand() -> None:
    """For a bounded time, on each version of Python that is promised; nothing else is done there but to check out."""
    [job] = _read(".github/workflows/ci.yml")["jobs"].values()
    fetch, run = job["steps"]
    assert re.fullmatch(r"actions/checkout@v\d+", fetch["uses"])
    assert run == {"run": ".ci/run"}
    assert job["container"] == "python:${{ matrix.python }}-bookworm"
    assert job["timeout-minutes"] <= 120
    promised = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["classifiers"]
    assert job["strategy"]["matrix"] == {"python": re.findall(r"Python :: (3\.\d+)", "\n".join(promised))}
    assert (ROOT / ".ci/run").stat().st_mode & 0o100


def test_commits_are_checked_by_the_tools_of_the_project() -> None:
    """All of which `make check` runs, too, so that none has a version of its own."""
    [repository] = _read(".pre-commit-config.yaml")["repos"]
    assert repository["repo"] == "local"
    recipe = (ROOT / "Makefile").read_text().partition("\ncheck:")[2].partition("\n\n")[0]
    for hook in repository["hooks"]:
        folder, _, tool = hook["entry"].split()[0].rpartition("/")
        assert folder == ".venv/bin"
        assert f"$(BIN)/{tool}" in recipe
