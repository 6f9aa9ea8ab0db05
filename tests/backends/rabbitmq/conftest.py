"""One broker for all tests, and an application for each."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from tests.backends.rabbitmq.server import Broker


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    with Broker() as broker:
        yield broker


@pytest.fixture
def application() -> str:
    """A name that no other test has."""
    return uuid4().hex
