# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What both type checkers must refuse: an ignore that nothing needs is an error for each of them."""

from ellar.common import Inject

from bg_di import INJECTED, BackgroundTasks, Retry, TaskErrorHandler, TaskFailure, background_task
from bg_di.testing import RecordingBackgroundTasks


async def send(address: str, *, subject: str = "hello") -> None: ...


def send_sync(address: str, copies: int = 1) -> None: ...


class Mailer:
    async def send(self, address: str) -> None: ...


def wrong_arguments(tasks: BackgroundTasks) -> None:
    tasks.add_task(send)  # type: ignore[call-overload]
    tasks.add_task(send, 1)  # type: ignore[call-overload]
    tasks.add_task(send, "ada", "subject")  # type: ignore[call-overload]
    tasks.add_task(send, "ada", subject=1)  # type: ignore[arg-type]
    tasks.add_task(send, "ada", unknown=1)  # type: ignore[call-arg]
    tasks.add_task(send_sync, "ada", "two")  # type: ignore[call-overload]
    tasks.add_task(send_sync, "ada", copies="two")  # type: ignore[arg-type]
    tasks.add_task(Mailer().send)  # type: ignore[call-overload]
    tasks.add_task(Mailer().send, 1)  # type: ignore[call-overload]


def not_a_function(tasks: BackgroundTasks) -> None:
    tasks.add_task(send("ada"))  # type: ignore[call-overload]
    tasks.add_task("send", "ada")  # type: ignore[call-overload]
    tasks.add_task(func=send, address="ada")  # type: ignore[call-overload]


def wrong_with_the_fake_too(tasks: RecordingBackgroundTasks) -> None:
    tasks.add_task(send)  # type: ignore[call-overload]
    tasks.add_task(send, 1)  # type: ignore[call-overload]


class Service:
    @background_task
    async def send(self, address: str, *, subject: str = "hello") -> None: ...

    @background_task(timeout=3)
    async def later(self, address: str) -> None: ...


@background_task
async def declared(address: str, service: Inject[Service] = INJECTED) -> None: ...


def wrong_arguments_of_declared_tasks(tasks: BackgroundTasks, service: Service) -> None:
    tasks.add_task(Service.send)  # type: ignore[call-overload]
    tasks.add_task(Service.send, 1)  # type: ignore[call-overload]
    tasks.add_task(Service.send, "ada", "subject")  # type: ignore[call-overload]
    tasks.add_task(Service.send, "ada", unknown=1)  # type: ignore[call-arg]
    tasks.add_task(Service.later, 1)  # type: ignore[call-overload]
    tasks.add_task(service.send)  # type: ignore[call-overload]
    tasks.add_task(service.send, 1)  # type: ignore[call-overload]
    tasks.add_task(declared)  # type: ignore[call-overload]
    tasks.add_task(declared, 1)  # type: ignore[call-overload]
    tasks.add_task(declared, "ada", "no service")  # type: ignore[call-overload]
    tasks.using(when="always").add_task(Service.send, 1)  # type: ignore[call-overload]


def wrong_policies(tasks: BackgroundTasks) -> None:
    tasks.using(when="sometimes")  # type: ignore[arg-type]
    tasks.using(timeout="3")  # type: ignore[arg-type]
    background_task(when="sometimes")  # type: ignore[call-overload]
    Retry(on=3)  # type: ignore[arg-type]
    Retry()  # type: ignore[call-arg]


def frozen(failure: TaskFailure) -> None:
    failure.name = "other"  # type: ignore[misc]


class Sync(TaskErrorHandler):
    def handle(self, failure: TaskFailure) -> None: ...  # type: ignore[override]


TaskErrorHandler()  # type: ignore[abstract]
