"""The application of somebody who tests it: a sign-up, with tasks of every kind."""

from typing import Any

from ellar.app import App, AppFactory
from ellar.common import Module, ModuleRouter
from ellar.core import ModuleBase
from ellar.di import injectable, request_scope

from bg_di import BackgroundTasks, BackgroundTasksModule, Retry, background_task
from bg_di.backends.sqlite import SqliteBackend

done: list[str] = []


class Provider:
    """What a mail is sent through; tests put another in its place."""

    async def deliver(self, address: str) -> None:
        if address == "busy":
            raise OSError("451 try again later")
        done.append(f"mail to {address}")


@injectable(scope=request_scope)
class Mailer:
    def __init__(self, provider: Provider) -> None:
        self.provider = provider

    @background_task(name="welcome", timeout=30, retry=Retry(on=OSError, attempts=3))
    async def send_welcome(self, address: str, subject: str = "welcome") -> None:
        await self.provider.deliver(address)


@background_task(name="remind", backend="durable", delay=3600)
async def remind(address: str) -> None:
    done.append(f"reminder to {address}")


@background_task(name="bill", backend="durable", retry=Retry(on=OSError, attempts=2, wait_initial=60, wait_max=60))
async def bill(number: int, tasks: Any = None) -> None:
    if number < 0:
        raise OSError("the printer is on fire")
    done.append(f"bill {number}")


async def audit(what: str) -> None:
    if what == "":
        raise ValueError("nothing to audit")
    done.append(f"audit of {what}")


router = ModuleRouter("/accounts")


@router.post("/")
async def sign_up(address: str, tasks: BackgroundTasks) -> dict[str, str]:
    tasks.add_task(Mailer.send_welcome, address)
    return {"address": address}


@router.post("/audited")
async def audited(what: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(audit, what)
    tasks.add_task(audit, "the audit")
    tasks.using(when="failure").add_task(audit, "a failure")


@router.post("/billed")
async def billed(number: int, tasks: BackgroundTasks) -> None:
    tasks.add_task(bill, number)


@router.post("/reminded")
async def reminded(address: str, tasks: BackgroundTasks) -> None:
    tasks.add_task(remind, address)


def build(path: str, **options: Any) -> App:
    """The application, with its engine on a file that nobody opens while a test has the fixture."""
    tasks = BackgroundTasksModule.setup(
        name="shop",
        tasks=[Mailer.send_welcome, remind, bill],
        backends={"durable": SqliteBackend(path)},
        **options,
    )

    @Module(modules=[tasks], routers=[router], providers=[Mailer, Provider])
    class ShopModule(ModuleBase): ...

    return AppFactory.create_from_app_module(ShopModule)
