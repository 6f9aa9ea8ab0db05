"""A shop, built before the test, and its client."""

from collections.abc import Generator
from pathlib import Path

import pytest
from ellar.app import App
from starlette.testclient import TestClient

from tests.pytest_plugin import shop


@pytest.fixture(scope="session")
def app(tmp_path_factory: pytest.TempPathFactory) -> App:
    """Built once, by a fixture of a wider scope, and not knowing of any test."""
    return shop.build(str(tmp_path_factory.mktemp("shop") / "tasks.db"))


@pytest.fixture
def client(app: App) -> Generator[TestClient]:
    shop.done.clear()
    with TestClient(app) as client:
        yield client


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "tasks.db")
