"""One process of each server for all tests that do not end it, and both engines."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.servers.places import OnBroker, OnFile, Place
from tests.servers.process import KINDS, Server


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as server:
        yield server


@pytest.fixture(params=["file", "broker"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """For what holds on every engine."""
    if request.param == "file":
        return OnFile(tmp_path / "tasks.db")
    return OnBroker(request.getfixturevalue("broker").url)
