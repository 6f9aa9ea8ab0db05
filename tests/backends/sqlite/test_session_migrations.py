"""``ellar db migrate`` on a database that has our tables: the real command, in a real project."""

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from textwrap import dedent

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from ellar_sql import EllarSQLService
from sqlalchemy import MetaData

from tests.backends.sqlite.sql_shop import Shop
from tests.harness import running

ROOT = Path(__file__).parents[3]

SHOP = """
from pathlib import Path

from ellar.app import AppFactory
from ellar.common import Module
from ellar.core import ModuleBase
from ellar_sql import EllarSQLModule, model

from bg_di import BackgroundTasksModule, background_task
from bg_di.backends.sqlite import SqliteBackend

HERE = Path(__file__).parent
{options}

class User(model.Model):
    id: model.Mapped[int] = model.mapped_column(primary_key=True)
    name: model.Mapped[str]

@background_task(backend="durable")
async def mail(to: str) -> None: ...

@Module(modules=[
    EllarSQLModule.setup(
        databases=f"{url}:///{{HERE}}/shop.db",
        migration_options={{"directory": "migrations", "context_configure": CONFIGURE}},
        root_path=str(HERE),
    ),
    BackgroundTasksModule.setup(name="shop", tasks=[mail], backends={{"durable": SqliteBackend(HERE / "shop.db")}}),
])
class Root(ModuleBase): ...

app = AppFactory.create_from_app_module(Root)
"""
MANAGE = """
from ellar_cli.main import create_ellar_cli

create_ellar_cli("shop:app")()
"""
NOTHING = "CONFIGURE = {}"
OWN_NAMES = """
def include_name(name, kind, parents):
    return name != "legacy"

CONFIGURE = {"include_name": include_name}
"""


class Project:
    def __init__(self, folder: Path, url: str, options: str) -> None:
        self.folder = folder
        (folder / "shop.py").write_text(dedent(SHOP).format(url=url, options=options))
        (folder / "manage.py").write_text(MANAGE)

    def db(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "manage.py", "db", *command],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def sql(self, statement: str) -> list[str]:
        with closing(sqlite3.connect(self.folder / "shop.db", isolation_level=None)) as connection:
            return [row[0] for row in connection.execute(statement)]

    def open_the_file(self) -> None:
        """As an application does that runs."""
        code = (
            "from bg_di.backends.sqlite import SqliteBackend; import asyncio\n"
            "async def main():\n"
            "    engine = SqliteBackend('shop.db').open('shop'); engine.counts(); await engine.close()\n"
            "asyncio.run(main())"
        )
        subprocess.run(
            [sys.executable, "-c", code], cwd=self.folder, env={**os.environ, "PYTHONPATH": str(ROOT)}, check=True
        )

    def migration(self, message: str) -> str:
        self.db("migrate", "-m", message)
        return "".join(path.read_text() for path in (self.folder / "migrations" / "versions").glob(f"*_{message}.py"))


async def test_our_tables_are_overlooked_whatever_the_user_asks(tmp_path: Path) -> None:
    """As alembic compares a database with models."""
    shop = Shop(tmp_path, "sync", migration_options={"include_name": lambda name, kind, parents: name != "legacy"})
    async with running(shop.app):
        pass
    other = Shop(tmp_path, "sync")
    for statement in ("CREATE TABLE legacy (id INTEGER)", "CREATE INDEX bg_di_users_own ON orders (number)"):
        shop.rows(statement)
    assert compared(shop) == {"orders"}
    assert compared(other) == {"orders", "legacy"}
    await shop.dispose()
    await other.dispose()


def compared(shop: Shop) -> set[str]:
    """The tables that are not among the models, and so would be dropped."""
    service = shop.app.injector.get(EllarSQLService)
    with service.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=dict(service.migration_options.context_configure))
        found = compare_metadata(context, MetaData())
    return {each[1].name for each in found if each[0] == "remove_table"}


@pytest.mark.parametrize(
    ("url", "options", "overlooked"), [("sqlite", NOTHING, set()), ("sqlite+aiosqlite", OWN_NAMES, {"legacy"})]
)
def test_a_migration_leaves_our_tables_alone(tmp_path: Path, url: str, options: str, overlooked: set[str]) -> None:
    """Without the user's doing. His own tables it finds as ever, and his own function is asked what to overlook."""
    project = Project(tmp_path, url, options)
    project.db("init")
    assert "create_table('user'" in project.migration("first")
    project.db("upgrade")
    project.open_the_file()
    tables = project.sql("SELECT name FROM sqlite_schema WHERE name LIKE 'bg_di%' ORDER BY name")
    assert "bg_di_tasks" in tables
    project.sql("CREATE TABLE legacy (id INTEGER)")
    project.sql("CREATE TABLE other (id INTEGER)")
    found = project.migration("second")
    assert "bg_di" not in found
    assert {name for name in ("legacy", "other") if f"drop_table('{name}')" not in found} == overlooked
    project.db("upgrade")
    assert project.sql("SELECT name FROM sqlite_schema WHERE name LIKE 'bg_di%' ORDER BY name") == tables
