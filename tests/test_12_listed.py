"""Promise 12: a worker runs only listed tasks: those of the option ``tasks``, and those that its modules define."""

import types
from typing import Any

import pytest
from ellar.app import App

from bg_di import BackgroundTasksModule, background_task
from bg_di.errors import InvalidOptions
from bg_di.handing_over.destinations import Destinations
from tests.backends.memory import MemoryBackend
from tests.harness import Log, application
from tests.listed import mails, other
from tests.listed.mails import Mailer, Special

MAILS = {f"{mails.__name__}:plain", "sync", f"{mails.__name__}:Mailer.send", "of the class", "static"}


def listing(*tasks: Any, **options: Any) -> App:
    backends = {"durable": MemoryBackend(embedded=False)}
    return application(
        tasks=BackgroundTasksModule.setup(**{"name": "shop", "tasks": tasks, "backends": backends, **options})
    )


def listed(app: App) -> set[str]:
    """The names of what workers of an application may run."""
    module: Any = app.injector.get_module(BackgroundTasksModule)
    return set(module.get(Destinations).tasks)


@pytest.mark.parametrize("given", [mails, mails.__name__], ids=["module", "name"])
def test_a_module_lists_what_it_defines_and_not_what_it_imports(given: Any) -> None:
    """Functions, and methods of every kind of its classes."""
    assert listed(listing(given)) == MAILS


def test_a_name_that_only_a_script_has_is_told(log: Log) -> None:
    """A worker imports the module by its own name, and would not know the task."""

    async def careless() -> None: ...

    careless.__module__, careless.__qualname__ = "__main__", "careless"
    assert listed(listing(background_task(careless))) == {"__main__:careless"}
    [message] = log.messages
    assert message.startswith("task __main__:careless has its name from a module that is run as a script")


def test_single_tasks_stand_beside_modules() -> None:
    """Each once, however often it is listed."""
    app = listing(mails.plain, mails, mails.__name__, other.imported, Mailer.send, Mailer.static)
    assert listed(app) == {*MAILS, "imported"}


def test_nothing_listed_is_nothing_to_run() -> None:
    """Without the option, no worker runs anything."""
    assert listed(listing()) == set()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (
            "tests.listed.nowhere",
            "option 'tasks' names the module 'tests.listed.nowhere', which cannot be imported: No",
        ),
        ("tests.listed.broken", "option 'tasks' names the module 'tests.listed.broken', which cannot be imported: for"),
        ("tests.listed.none", "option 'tasks' names the module 'tests.listed.none', which defines no task: put @b"),
        (
            types.ModuleType("made"),
            "option 'tasks' names the module 'made', which defines no task: put @background_task",
        ),
    ],
)
def test_a_module_that_cannot_be_read_is_refused_at_start_up(given: Any, said: str) -> None:
    """By its name."""
    with pytest.raises(InvalidOptions) as refused:
        listing(given)
    assert str(refused.value).startswith(said)


def test_a_proxy_in_a_module_is_left_alone() -> None:
    """It may make what it stands for when it is asked for anything."""

    class Proxy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"asked for {name}")

    made = types.ModuleType("made")

    @background_task(name="task in it", backend="durable")
    async def task() -> None: ...

    task.__module__ = made.__name__
    vars(made).update(proxy=Proxy(), task=task)
    assert listed(listing(made)) == {"task in it"}


def test_two_tasks_of_one_name_are_refused() -> None:
    """Both are told by where they are."""

    @background_task(name="sync", backend="durable")
    def another(to: str) -> None: ...

    where = f"{__name__}:test_two_tasks_of_one_name_are_refused.<locals>.another"
    with pytest.raises(InvalidOptions) as refused:
        listing(mails.sync, another)
    assert str(refused.value) == (
        f"option 'tasks' lists two tasks of the name 'sync', {mails.__name__}:sync and {where}: "
        "give one of them another name, by @background_task(name=...)"
    )


def test_an_inherited_method_is_another_task_of_the_same_name() -> None:
    """The container would build another service for it."""
    assert listed(listing(Special.send)) == {f"{mails.__name__}:Mailer.send"}
    for pair in ((Mailer.send, Special.send), (Mailer.of_the_class, Special.of_the_class)):
        with pytest.raises(InvalidOptions, match="two tasks of the name"):
            listing(*pair)


@pytest.mark.parametrize("given", [mails.undeclared, Mailer, 1, None, print])
def test_what_is_no_task_is_refused_at_declaration(given: Any) -> None:
    """With what it is, and what would be one."""
    with pytest.raises(InvalidOptions) as refused:
        BackgroundTasksModule.setup(tasks=[given])
    assert str(refused.value) == (
        f"BackgroundTasksModule cannot be set up: option 'tasks' is {[given]!r}: {given!r} is no "
        "task: give declared tasks, modules that define them, or modules' names"
    )


def test_a_method_of_an_object_is_refused_at_start_up() -> None:
    """The object stays here."""
    with pytest.raises(TypeError, match=r"is bound to an object, which stays here; pass Mailer\.send"):
        listing(Mailer().send)
