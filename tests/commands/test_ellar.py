"""The same commands in `ellar`, in an application that has done nothing for it but declare the module."""

import signal
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.commands import shop
from tests.commands.conftest import keep, message
from tests.commands.process import Command, run
from tests.servers.stage import Stage

SERVER = """
from bg_di import BackgroundTasksModule, background_task
from bg_di.backends.sqlite import SqliteBackend
from ellar.app import AppFactory
from ellar.common import Module
from ellar.core import ModuleBase
from tests.commands import shop

tasks = BackgroundTasksModule.setup(
    name="shop", tasks=[shop.greet], backends={"durable": SqliteBackend("tasks.db")}, default_backend="durable"
)

@Module(modules=[tasks, shop.Hooks])
class Root(ModuleBase): ...

def bootstrap():
    return AppFactory.create_from_app_module(Root)
"""
PROJECT = """
[tool.ellar]
default = "shop"
[tool.ellar.projects.shop]
project-name = "shop"
application = "server:bootstrap"
config = "ellar.core.conf:ConfigDefaultTypesMixin"
root-module = "server:Root"
"""
MANAGE = """
from ellar_cli.main import create_ellar_cli

create_ellar_cli("server:bootstrap")()
"""
ELLAR = str(Path(sys.executable).with_name("ellar"))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """As ellar-cli lays it out."""
    for name, content in (("server.py", SERVER), ("pyproject.toml", PROJECT), ("manage.py", MANAGE)):
        (tmp_path / name).write_text(content)
    return tmp_path


WAYS = pytest.mark.parametrize(
    "way", [(ELLAR,), ("-m", "ellar_cli"), ("manage.py",)], ids=["ellar", "module", "manage"]
)


@WAYS
def test_the_commands_are_there(way: tuple[str, ...], project: Path) -> None:
    """By whichever way ellar-cli is called; the application need not be named."""
    keep(project / "tasks.db", [message("one")], becoming="dead")
    about = run(*way, "--help", cwd=project)
    assert "background-tasks" in about.stdout
    assert "Background tasks on the engines of the application." in about.stdout
    listed = run(*way, "background-tasks", "list", cwd=project)
    assert listed.returncode == 0, listed.stderr
    assert listed.stdout.splitlines()[1].split()[:3] == ["one", "durable", "dead"]
    assert run(*way, "background-tasks", "retry", "one", cwd=project).stdout == "one is put back\n"
    assert run(*way, "background-tasks", "check", "--max-backlog=0", cwd=project).returncode == 1


def test_help_and_mistakes_are_those_of_the_commands(project: Path) -> None:
    """Without a `MODULE:APP`."""
    about = run(ELLAR, "background-tasks", "--help", cwd=project)
    assert about.returncode == 0
    assert about.stdout.startswith("usage: ellar background-tasks")
    wrong = run(ELLAR, "background-tasks", "list", "--state=ded", cwd=project)
    assert wrong.returncode == 2
    assert "invalid choice: 'ded'" in wrong.stderr
    assert "MODULE:APP" not in wrong.stderr


@WAYS
def test_a_worker_works_and_ends_by_a_signal(way: tuple[str, ...], project: Path) -> None:
    """It has the main thread, without which it would hear none."""
    with Stage() as stage:
        env: Mapping[str, str] = {shop.STAGE: stage.name}
        with Command(*way, "background-tasks", "worker", env=env, cwd=project) as command:
            command.says("a worker takes what 'durable' delivers")
            command.tell(signal.SIGTERM)
            assert command.ends() == 0
        assert stage.heard == ["start-up", "shutdown"]


def test_nobody_imports_the_command_line_for_an_application(project: Path) -> None:
    """Not even where it is installed."""
    code = "import sys, server; server.bootstrap(); print({'click', 'ellar_cli'} & {*sys.modules})"
    assert run("-c", code, cwd=project).stdout == "set()\n"
