"""RabbitMQ keeps what every backend promises, as far as its flags announce it."""

from collections.abc import Iterator

import pytest

from bg_di.backends import Backend
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.testing import BackendContract
from tests.backends.rabbitmq.server import Broker


class TestRabbitBackend(BackendContract):
    backend_type = RabbitBackend

    @pytest.fixture
    def backend(self, broker: Broker) -> Iterator[Backend]:
        """On a virtual host of its own."""
        with broker.host() as url:
            yield RabbitBackend(url)
