"""Engines are asyncio only."""

import pytest

from tests.conftest import BACKENDS


@pytest.fixture(params=BACKENDS[:2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param
