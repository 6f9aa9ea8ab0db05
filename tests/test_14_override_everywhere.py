"""Promise 14: ``override_everywhere`` reaches what a feature module provides for itself."""

from functools import partial
from typing import Any

import pytest
from ellar.common import Inject, ModuleRouter
from ellar.di import injectable, request_scope
from ellar.testing import Test

from bg_di import BackgroundTasks, BackgroundTasksModule, background_task
from bg_di.testing import override_everywhere
from tests.harness import concurrently, module, request


@injectable(scope=request_scope)
class Mailer:
    async def deliver(self, address: str) -> None:
        raise AssertionError("the real one")

    @background_task
    async def send(self, address: str) -> None:
        await self.deliver(address)


class Fake(Mailer):
    sent: list[str]

    async def deliver(self, address: str) -> None:
        SENT.append((id(self), address))


class Falsy(Fake):
    def __len__(self) -> int:
        return 0


SENT: list[tuple[int, str]] = []


def two_features() -> Any:
    def feature(name: str) -> Any:
        router = ModuleRouter(f"/{name}")

        @router.get("/")
        async def handler(tasks: BackgroundTasks, mailer: Inject[Mailer]) -> None:
            await mailer.deliver(f"{name} handler")
            tasks.add_task(Mailer.send, f"{name} task")

        return module(name, routers=[router], providers=[Mailer])

    return Test.create_test_module(modules=[BackgroundTasksModule, feature("a"), feature("b")])


async def test_a_class_reaches_handlers_and_tasks_of_every_module() -> None:
    """Each gets one of its own."""
    SENT.clear()
    test_module = two_features()
    override_everywhere(test_module, Mailer, use_class=Fake)
    app = test_module.create_application()
    await concurrently([partial(request, app, f"/{name}/") for name in "ab"])
    assert sorted(address for _, address in SENT) == ["a handler", "a task", "b handler", "b task"]


async def test_a_value_does_too_even_if_it_is_falsy() -> None:
    """It is one object for all."""
    SENT.clear()
    test_module = two_features()
    override_everywhere(test_module, Mailer, use_value=Falsy())
    app = test_module.create_application()
    await concurrently([partial(request, app, f"/{name}/") for name in "ab"])
    assert len(SENT) == 4
    assert len({whom for whom, _ in SENT}) == 1


def test_what_nobody_provides_is_refused() -> None:
    """A misspelt override must not pass for one."""
    with pytest.raises(LookupError, match="no module provides Fake"):
        override_everywhere(two_features(), Fake, use_class=Fake)
