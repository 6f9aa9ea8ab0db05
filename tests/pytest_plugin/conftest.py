"""A shop, built before the test, and its client; and test files of somebody who has installed bg_di."""

from collections.abc import Callable, Generator
from pathlib import Path

import pytest
from ellar.app import App
from starlette.testclient import TestClient

from tests.pages import ROOT
from tests.pytest_plugin import shop

HEAD = """
import anyio, pytest
from starlette.testclient import TestClient
from tests.pytest_plugin import shop
from tests.pytest_plugin.shop import Mailer, audit, bill, remind

@pytest.fixture
def client(tmp_path):
    with TestClient(shop.build(str(tmp_path / "tasks.db"))) as client:
        yield client

"""

Run = Callable[..., pytest.RunResult]


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a test file of somebody who has installed bg_di."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT))

    def run(body: str, *options: str) -> pytest.RunResult:
        pytester.makepyfile(HEAD + body)
        return pytester.runpytest_subprocess("-p", "no:logging", "-q", *options)

    return run


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
