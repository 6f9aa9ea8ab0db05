"""Engines are asyncio only. What their tests share: places and handles."""

import os
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from tempfile import mkdtemp

import pytest

from bg_di.backends.sqlite import SqliteBackend
from bg_di.backends.sqlite.engine import SqliteEngine
from tests.conftest import BACKENDS

NOBODY = 65534


@pytest.fixture(params=BACKENDS[:2])
def anyio_backend(request: pytest.FixtureRequest) -> object:
    return request.param


@pytest.fixture
def folder() -> Iterator[Path]:
    """One that everybody can reach, while the process has given up the rights of root, whom no mode stops."""
    root = os.geteuid() == 0
    path = Path(mkdtemp())
    if root:
        os.chown(path, NOBODY, NOBODY)
        os.seteuid(NOBODY)
    yield path
    if root:
        os.seteuid(0)
    shutil.rmtree(path)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tasks.db"


@pytest.fixture
async def engine(path: Path) -> AsyncIterator[SqliteEngine]:
    engine = SqliteBackend(path, busy_timeout=0.1).open("shop")
    yield engine
    await engine.close()
