"""Two Ellar applications in one process and on one broker, each of three modules, and both work, too."""

import json
import os
from typing import Any

from ellar.app import App, AppFactory
from ellar.common import Inject, ModuleRouter
from ellar.di import ProviderConfig, injectable, transient_scope
from starlette.types import Receive, Scope, Send

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksModule, background_task
from bg_di.backends.rabbitmq import RabbitBackend
from tests.harness import module
from tests.servers import logs
from tests.servers.durable import live
from tests.servers.files import SETTINGS
from tests.servers.stage import cue

logs.configure()
_settings: dict[str, Any] = json.loads(os.environ[SETTINGS])


class Place:
    """Where somebody is: each application, and each module of it, provides its own."""

    def __init__(self, name: str) -> None:
        self.name = name


class Application(Place): ...


@background_task(name="plain")
async def plain(stage: str, number: int, module: Inject[Place] = INJECTED, of: Inject[Application] = INJECTED) -> None:
    await cue(stage, f"{number} plain {of.name} {module.name}")


@injectable(scope=transient_scope)
class Desk:
    def __init__(self, module: Place, of: Application) -> None:
        self._where = f"{of.name} {module.name}"

    @background_task(name="service")
    async def serve(self, stage: str, number: int) -> None:
        await cue(stage, f"{number} service {self._where}")


def feature(name: str) -> Any:
    router = ModuleRouter(f"/{name}")

    @router.get("/{stage}/{number}")
    async def add(stage: str, number: int, tasks: BackgroundTasks) -> int:
        tasks.add_task(plain, stage, number)
        tasks.add_task(Desk.serve, stage, number)
        tasks.using(delay=0.3).add_task(plain, stage, number)
        await cue(stage, "handler")
        return number

    return module(name, routers=[router], providers=[ProviderConfig(Place, use_value=Place(name)), Desk])


def create(name: str) -> App:
    tasks: Any = BackgroundTasksModule.setup(
        name=name + _settings["suffix"],
        tasks=[plain, Desk.serve],
        backends={"durable": RabbitBackend(_settings["url"])},
        default_backend="durable",
    )
    return AppFactory.create_app(
        modules=[tasks, *map(feature, ("first", "second", "third"))],
        providers=[ProviderConfig(Application, use_value=Application(name))],
    )


APPLICATIONS = {name: create(name) for name in ("one", "two")}


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """The first part of the path says which application is meant."""
    if scope["type"] != "http":
        await live(list(APPLICATIONS.values()), scope, receive, send)
        return
    _, application, *rest = scope["path"].split("/")
    await APPLICATIONS[application]({**scope, "path": "/".join(["", *rest])}, receive, send)
