# pyright: reportUnnecessaryTypeIgnoreComment=true
"""What both type checkers must refuse: an ignore that nothing needs is an error for each of them."""

from bg_di import BackgroundTasks, TaskErrorHandler, TaskFailure
from bg_di.testing import RecordingBackgroundTasks


async def send(address: str, *, subject: str = "hello") -> None: ...


def send_sync(address: str, copies: int = 1) -> None: ...


class Mailer:
    async def send(self, address: str) -> None: ...


def wrong_arguments(tasks: BackgroundTasks) -> None:
    tasks.add_task(send)  # type: ignore[call-arg]
    tasks.add_task(send, 1)  # type: ignore[arg-type]
    tasks.add_task(send, "ada", "subject")  # type: ignore[call-arg]
    tasks.add_task(send, "ada", subject=1)  # type: ignore[arg-type]
    tasks.add_task(send, "ada", unknown=1)  # type: ignore[call-arg]
    tasks.add_task(send_sync, "ada", "two")  # type: ignore[arg-type]
    tasks.add_task(send_sync, "ada", copies="two")  # type: ignore[arg-type]
    tasks.add_task(Mailer().send)  # type: ignore[call-arg]
    tasks.add_task(Mailer().send, 1)  # type: ignore[arg-type]


def not_a_function(tasks: BackgroundTasks) -> None:
    tasks.add_task(send("ada"))  # type: ignore[arg-type]
    tasks.add_task("send", "ada")  # type: ignore[arg-type]
    tasks.add_task(func=send, address="ada")  # type: ignore[call-arg]


def wrong_with_the_fake_too(tasks: RecordingBackgroundTasks) -> None:
    tasks.add_task(send)  # type: ignore[call-arg]
    tasks.add_task(send, 1)  # type: ignore[arg-type]


def frozen(failure: TaskFailure) -> None:
    failure.name = "other"  # type: ignore[misc]


class Sync(TaskErrorHandler):
    def handle(self, failure: TaskFailure) -> None: ...  # type: ignore[override]


TaskErrorHandler()  # type: ignore[abstract]
