"""An application for each test."""

import logging
from collections.abc import Iterator
from uuid import uuid4

import pytest


@pytest.fixture
def application() -> str:
    """A name that no other test has."""
    return uuid4().hex


@pytest.fixture(autouse=True)
def everything_is_logged() -> Iterator[None]:
    """That a connection is back, too."""
    logger = logging.getLogger("bg_di")
    before = logger.level
    logger.setLevel(logging.INFO)
    yield
    logger.setLevel(before)
