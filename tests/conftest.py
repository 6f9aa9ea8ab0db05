"""What all tests share: every coroutine test runs on asyncio, on uvloop and on trio."""

import logging

import pytest

BACKENDS = [
    pytest.param(("asyncio", {"use_uvloop": False}), id="asyncio"),
    pytest.param(("asyncio", {"use_uvloop": True}), id="uvloop"),
    pytest.param(("trio", {}), id="trio"),
]


@pytest.fixture(params=BACKENDS)
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What is logged on ``bg_di``; Ellar's own lines are left out."""
    caplog.set_level(logging.WARNING, logger="bg_di")
    caplog.set_level(logging.CRITICAL, logger="ellar")
    return caplog
