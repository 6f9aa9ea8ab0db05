"""Declaring the module: everywhere, with options, in any order, without one application seeing another's."""

from typing import Any

import pytest
from ellar.app import App, AppFactory
from ellar.common import get
from ellar.core import Config, LazyModuleImport, ModuleSetup
from ellar.testing import Test
from ellar.testing.module import TestingModule as ModuleUnderTest
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di import BackgroundTaskError, BackgroundTasks, BackgroundTasksModule
from bg_di.options import Options
from tests.harness import Client, application, module


def options_of(app: App) -> Options:
    declared = app.injector.get_module(BackgroundTasksModule)
    assert declared is not None
    options: Options = declared.get(Options)
    return options


def built(*modules: Any, **config: Any) -> App:
    return AppFactory.create_app(modules=modules, config_module=config)


DECLARATIONS: dict[str, tuple[Any, dict[str, Any]]] = {
    "setup": (lambda: BackgroundTasksModule.setup(max_threads=7), {}),
    "register_setup": (BackgroundTasksModule.register_setup, {"BACKGROUND_TASKS": {"max_threads": 7}}),
    "register_setup, overridden": (
        lambda: BackgroundTasksModule.register_setup(max_threads=7),
        {"BACKGROUND_TASKS": {"max_threads": 9}},
    ),
    "register_setup without a section": (lambda: BackgroundTasksModule.register_setup(max_threads=7), {}),
    "lazy setup": (lambda: LazyModuleImport("bg_di:BackgroundTasksModule", "setup", max_threads=7), {}),
    "lazy register_setup": (
        lambda: LazyModuleImport("bg_di:BackgroundTasksModule", "register_setup"),
        {"BACKGROUND_TASKS": {"max_threads": 7}},
    ),
    "a factory of one's own": (
        lambda: ModuleSetup(
            BackgroundTasksModule,
            inject=[Config],
            factory=lambda ref, config: BackgroundTasksModule.set_options(ref, max_threads=config["THREADS"]),
        ),
        {"THREADS": 7},
    ),
}
DEFAULTS: dict[str, Any] = {
    "the class": lambda: BackgroundTasksModule,
    "ModuleSetup": lambda: ModuleSetup(BackgroundTasksModule),
    "lazy": lambda: LazyModuleImport("bg_di:BackgroundTasksModule"),
    "setup": BackgroundTasksModule.setup,
    "register_setup": BackgroundTasksModule.register_setup,
}


@pytest.mark.parametrize("how", DECLARATIONS)
@pytest.mark.parametrize("depth", [0, 1, 2])
def test_options_arrive_from_wherever_they_are_declared(how: str, depth: int) -> None:
    """At the root, in a child or in a grandchild module."""
    make, config = DECLARATIONS[how]
    declared = make()
    for _ in range(depth):
        declared = module(modules=[declared])
    assert options_of(built(declared, **config)).max_threads == 7


@pytest.mark.parametrize("how", DEFAULTS)
def test_without_options_the_defaults_hold(how: str) -> None:
    """Those that the contract names."""
    assert options_of(built(DEFAULTS[how]())) == Options(run_after="response", on_error="stop", max_threads=40)


@pytest.mark.parametrize("depth", [0, 1, 2])
async def test_it_works_wherever_it_is_declared(depth: int) -> None:
    """Root, siblings and children get the collection, whichever module declares it."""
    client = Client()

    @get("/sibling")
    async def sibling(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    declared: Any = BackgroundTasksModule
    for _ in range(depth):
        declared = module(modules=[declared])
    app = built(declared, module(routers=[sibling]))
    await client.request(app, "/sibling")
    assert client.timeline == ["start", "last byte", "task"]


def test_each_application_keeps_its_own_options() -> None:
    """The same class declared with different options, in any order, rebuilt, with plain declarations in between."""
    seven, eight = (module(modules=[BackgroundTasksModule.setup(max_threads=number)]) for number in (7, 8))
    plain = module(modules=[BackgroundTasksModule])

    def threads(root: Any) -> int:
        return options_of(AppFactory.create_from_app_module(root)).max_threads

    assert [threads(root) for root in (seven, eight, plain, seven, plain, eight)] == [7, 8, 40, 7, 40, 8]


def test_a_tool_that_only_reads_the_module_tree_changes_nothing() -> None:
    """Ellar's command line does that."""
    AppFactory.read_all_module(ModuleSetup(module(modules=[BackgroundTasksModule.setup(max_threads=7)])))
    assert options_of(built(BackgroundTasksModule)).max_threads == 40


def test_options_are_kept_in_test_modules() -> None:
    """`Test.create_test_module` builds an application like any other."""
    tested: ModuleUnderTest = Test.create_test_module(modules=[BackgroundTasksModule.setup(max_threads=7)])
    assert options_of(tested.create_application()).max_threads == 7


REFUSED: list[tuple[dict[str, Any], list[str]]] = [
    ({"max_thread": 3}, ["'max_thread'", "3", "run_after, on_error, max_threads"]),
    ({"run_after": "later"}, ["'run_after'", "'later'", "'response' or 'request'"]),
    ({"on_error": None}, ["'on_error'", "None", "'stop' or 'continue'"]),
    ({"max_threads": 0}, ["'max_threads'", "0", "greater than or equal to 1"]),
    ({"max_threads": "40"}, ["'max_threads'", "'40'", "valid integer"]),
    ({"max_threads": True}, ["'max_threads'", "True", "valid integer"]),
    ({"cls": 1}, ["'cls'", "1"]),
    ({"run_after": "x", "typo": 1}, ["'run_after'", "'x'", "'typo'", "1"]),
]


@pytest.mark.parametrize(("options", "parts"), REFUSED)
def test_wrong_options_are_refused_by_name(options: dict[str, Any], parts: list[str]) -> None:
    """Naming key, value and what is allowed, wherever they come from."""
    for declare in (
        lambda: built(BackgroundTasksModule.setup(**options)),
        lambda: built(BackgroundTasksModule.register_setup(), BACKGROUND_TASKS=options),
        lambda: built(BackgroundTasksModule.register_setup(**options)),
    ):
        with pytest.raises(BackgroundTaskError) as error:
            declare()  # type: ignore[no-untyped-call]
        assert isinstance(error.value, ValueError)
        for part in parts:
            assert part in str(error.value)


@pytest.mark.parametrize("section", [[], "request", 7])
def test_a_section_that_is_no_dict_is_refused(section: Any) -> None:
    """Naming the key in the config and what it may be."""
    with pytest.raises(BackgroundTaskError, match=r"BACKGROUND_TASKS .* give a dict of options"):
        built(BackgroundTasksModule.register_setup(), BACKGROUND_TASKS=section)


def test_a_key_that_is_no_string_is_refused() -> None:
    """YAML makes such dicts."""
    with pytest.raises(BackgroundTaskError, match="there is no option '1'"):
        built(BackgroundTasksModule.register_setup(), BACKGROUND_TASKS={1: "x"})


def test_declared_twice_it_is_ellars_own_error() -> None:
    """Once, at the root."""
    with pytest.raises(ValueError, match="already exists"):
        built(BackgroundTasksModule, BackgroundTasksModule.setup(run_after="request"))


async def test_auto_binding_hides_nothing() -> None:
    """With INJECTOR_AUTO_BIND Ellar would make an orphan where a binding is missing."""
    client = Client()

    @get("/")
    async def handler(tasks: StarletteBackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    app = application(handler, config={"INJECTOR_AUTO_BIND": True})
    await client.request(app, "/")
    assert client.timeline == ["start", "last byte", "task"]


async def test_as_the_root_module_itself_it_can_be_built() -> None:
    """There are no routes then, but nothing breaks."""
    app = AppFactory.create_from_app_module(BackgroundTasksModule)
    assert (await Client().request(app, "/")).status == 404
    assert isinstance(app.injector.get(BackgroundTasks), BackgroundTasks)


@pytest.mark.parametrize("options", [{}, {"max_threads": 7}])
async def test_a_subclass_can_be_declared(options: dict[str, Any]) -> None:
    """A team's own module, by inheritance, plain or with options."""
    client = Client()

    class TeamTasks(BackgroundTasksModule): ...

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        tasks.add_task(client.timeline.append, "task")

    await client.request(application(handler, tasks=TeamTasks.setup(**options) if options else TeamTasks), "/")
    assert client.timeline == ["start", "last byte", "task"]
