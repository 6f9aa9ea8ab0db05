"""Applications as commands find them. What they are made of is told by environment variables."""

import logging
import os
from typing import Any

from ellar.app import App
from ellar.common import IApplicationShutdown, IApplicationStartup, Module
from ellar.core import ModuleBase

from bg_di import BackgroundTasksModule, background_task
from bg_di.backends.sqlite import SqliteBackend
from tests.harness import application
from tests.servers.stage import cue, cue_in_thread

STAGE, FILE, OTHER, GRACE, FAILS, LOGS = (
    "SHOP_STAGE",
    "SHOP_FILE",
    "SHOP_OTHER",
    "SHOP_GRACE",
    "SHOP_FAILS",
    "SHOP_LOGS",
)


@background_task(name="greet")
async def greet(secret: str) -> None:
    await cue(os.environ[STAGE], "running")
    await cue(os.environ[STAGE], "ended")


@background_task(name="greet elsewhere", backend="other")
async def greet_elsewhere(secret: str) -> None:
    await cue(os.environ[STAGE], "elsewhere")


@background_task(name="greet in a thread")
def greet_in_thread(secret: str) -> None:
    cue_in_thread(os.environ[STAGE], "in a thread")


@Module()
class Hooks(ModuleBase, IApplicationStartup, IApplicationShutdown):
    async def on_startup(self, app: App) -> None:
        await self._reach("start-up")

    async def on_shutdown(self) -> None:
        await self._reach("shutdown")

    async def _reach(self, name: str) -> None:
        if STAGE in os.environ:
            await cue(os.environ[STAGE], name)
        if os.environ.get(FAILS) == name:
            raise ConnectionError(f"no stock at {name}")


def shop(**options: Any) -> App:
    """Its worker is a process of its own."""
    backends = {
        name: SqliteBackend(os.environ[variable], embedded=False)
        for name, variable in (("durable", FILE), ("other", OTHER))
        if variable in os.environ
    }
    setup = BackgroundTasksModule.setup(
        **{
            "name": "shop",
            "tasks": [greet, greet_in_thread, *([greet_elsewhere] if OTHER in os.environ else [])],
            "backends": backends,
            "default_backend": "durable",
            "grace_period": float(os.environ.get(GRACE, 10)),
            **options,
        }
    )
    app = application(tasks=setup, modules=[Hooks])
    if LOGS in os.environ:
        logging.basicConfig(level=logging.INFO, format="as configured: %(message)s")
    return app


def with_one_task() -> App:
    return shop(tasks=[greet])


def without_tasks() -> App:
    return shop(tasks=[])


def in_process() -> App:
    return shop(backends={}, default_backend="in_process")


def without_module() -> App:
    return application(tasks=None)


async def later() -> App:
    return shop()


def for_one(name: str) -> App:
    return shop(name=name)


def none() -> None: ...


class Shops:
    make = staticmethod(shop)
