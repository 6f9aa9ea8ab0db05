"""What is typed wrong is refused, with exit code 2 and what to type instead."""

from pathlib import Path

import pytest

from bg_di.commands.main import main
from tests.commands.process import run

SHOP = "tests.commands.shop"


def refused(capsys: pytest.CaptureFixture[str], *typed: str) -> str:
    assert main(typed) == 2
    out, err = capsys.readouterr()
    assert out == ""
    [line] = err.splitlines()
    assert line.startswith("bg_di: ")
    return line.removeprefix("bg_di: ")


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("shop", "'shop' names no application: give a module and a name in it, such as shop.server:app"),
        (":app", "':app' names no application"),
        ("./shop:app", "'./shop:app' names no application: give a module and a name in it"),
        ("shop:", "'shop:' names no application"),
        ("nowhere:app", "No module named 'nowhere' (looked for 'nowhere'): give a module that can be imported from /"),
        ("nowhere.at.all:app", "No module named 'nowhere' (looked for 'nowhere.at.all'): give a module"),
        ("tests.commands.shop.app:app", "'tests.commands.shop' is not a package"),
        (f"{SHOP}:app", f"there is no 'app' in '{SHOP}': module '{SHOP}' has no attribute 'app'"),
        (f"{SHOP}:Shops.app", f"there is no 'Shops.app' in '{SHOP}': type object 'Shops' has no attribute 'app'"),
        (f"{SHOP}:later", "is a coroutine function: give one that is not, or an application"),
        (f"{SHOP}:for_one", "cannot be called to make an application: missing a required argument: 'name'"),
        (f"{SHOP}:none", "makes no Ellar application but None: give an ellar.app.App, or a function that makes one"),
        ("tests.commands.group:group", "is no Ellar application but <Group group>: give an ellar.app.App"),
        (f"{SHOP}:Shops", "is no Ellar application but <class 'tests.commands.shop.Shops'>: give"),
        (f"{SHOP}:without_module", "has no background tasks: declare BackgroundTasksModule in its root module"),
        (f"{SHOP}:in_process", "has no backend beyond its process, whose tasks nobody else can see: configure one by"),
    ],
)
@pytest.mark.parametrize("command", ["list", "check", "worker"])
def test_what_is_no_application_with_engines_is_refused(
    target: str, says: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is said what it is instead."""
    assert says in refused(capsys, command, target)


@pytest.mark.parametrize("target", [f"{SHOP}:shop", f"{SHOP}:Shops.make"])
def test_an_application_may_be_made_by_a_function(target: str, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also one that is an attribute of something else."""
    assert main(["list", target]) == 0


def test_an_engine_that_is_not_there_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The others are named."""
    for command in ("list", "check", "worker"):
        assert "--backend duarble: there is none of that name beyond the process; there is 'durable'" in refused(
            capsys, command, f"{SHOP}:shop", "--backend", "duarble"
        )


def test_a_worker_without_tasks_is_refused(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It would wait for ever."""
    assert "lists no tasks, so that a worker would run none: name them by" in refused(
        capsys, "worker", f"{SHOP}:without_tasks"
    )


@pytest.mark.parametrize(
    ("typed", "says"),
    [
        ((), "the following arguments are required: COMMAND"),
        (("lst",), "invalid choice: 'lst'"),
        (("list",), "the following arguments are required: MODULE:APP"),
        (("list", "a:b", "--state=ded"), "argument --state: invalid choice: 'ded'"),
        (("list", "a:b", "--limit=0"), "argument --limit: '0': give a number of at least 1"),
        (("list", "a:b", "--lim=1"), "unrecognized arguments: --lim=1"),
        (("prune", "a:b"), "the following arguments are required: --before"),
        (
            ("prune", "a:b", "--before=7"),
            "argument --before: '7' is no age: give a number and s, m, h, d or w, such as",
        ),
        (("check", "a:b", "--max-dead=-1"), "argument --max-dead: '-1': give a number that is not negative"),
        (("check", "a:b", "--max-age=soon"), "argument --max-age: 'soon': give seconds that are not negative"),
    ],
)
def test_what_is_no_command_is_refused(typed: tuple[str, ...], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With its usage."""
    with pytest.raises(SystemExit) as ended:
        main(typed)
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert err.startswith("usage: python -m bg_di")
    assert says in err


APP = """
from ellar.app import AppFactory
from bg_di import BackgroundTasksModule
from bg_di.backends.sqlite import SqliteBackend

tasks = BackgroundTasksModule.setup(name="shop", backends={"durable": SqliteBackend("tasks.db")})
app = AppFactory.create_app(modules=[tasks])
"""


@pytest.mark.parametrize("options", [(), ("-P",)])
def test_an_application_is_found_in_the_current_folder(options: tuple[str, ...], tmp_path: Path) -> None:
    """Also where Python itself does not look there."""
    (tmp_path / "server.py").write_text(APP)
    ran = run(*options, "-m", "bg_di", "check", "server:app", cwd=tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert (tmp_path / "tasks.db").exists()


@pytest.mark.parametrize(
    ("source", "error"),
    [
        ("import missing_one", "No module named 'missing_one'"),
        ("raise ImportError", "ImportError"),
        ("1 / 0", "by zero"),
    ],
)
def test_what_the_applications_own_code_raises_is_shown_whole(source: str, error: str, tmp_path: Path) -> None:
    """With the line that did it."""
    (tmp_path / "server.py").write_text(source)
    ran = run("-m", "bg_di", "check", "server:app", cwd=tmp_path)
    assert ran.returncode == 1
    assert f'server.py", line 1, in <module>\n    {source}' in ran.stderr
    assert error in ran.stderr


def test_help_tells_the_commands() -> None:
    """It is no mistake to ask for it."""
    ran = run("-m", "bg_di", "--help")
    assert ran.returncode == 0
    assert all(command in ran.stdout for command in ("worker", "list", "show", "retry", "prune", "check"))
