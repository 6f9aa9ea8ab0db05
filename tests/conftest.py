"""What all tests share: every coroutine test runs on asyncio, on uvloop and on trio; and there is one broker."""

import logging
from collections.abc import Iterator

import pytest

from tests.backends.rabbitmq.server import Broker
from tests.harness import Log

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def log() -> Iterator[Log]:
    """What is logged on ``bg_di``."""
    handler = Log()
    logging.getLogger("bg_di").addHandler(handler)
    yield handler
    logging.getLogger("bg_di").removeHandler(handler)


@pytest.fixture(scope="session")
def broker() -> Iterator[Broker]:
    """The one for all tests that need no other; each has applications of its own on it."""
    with Broker() as broker:
        yield broker
