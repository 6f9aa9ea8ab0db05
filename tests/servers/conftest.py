"""One process of each server for all tests that do not end it."""

from collections.abc import Iterator

import pytest

from tests.servers.process import KINDS, Server


@pytest.fixture(scope="session", params=KINDS)
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as server:
        yield server
