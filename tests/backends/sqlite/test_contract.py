"""The SQLite engine keeps what every backend promises."""

from pathlib import Path

import pytest

from bg_di.backends import Backend
from bg_di.backends.sqlite import SqliteBackend
from bg_di.testing import BackendContract


class TestSqliteBackend(BackendContract):
    backend_type = SqliteBackend

    @pytest.fixture
    def backend(self, tmp_path: Path) -> Backend:
        return SqliteBackend(tmp_path / "tasks.db")
