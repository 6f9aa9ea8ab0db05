"""In mode *hold* tasks are kept back until the test drains them, and errors are raised there."""

import anyio
import pytest
from ellar.app import App
from starlette.testclient import TestClient

from bg_di.testing import WatchedBackgroundTasks
from tests.pytest_plugin.shop import Mailer, audit, bill, done, remind


@pytest.mark.background_tasks(mode="hold")
def test_nothing_runs_until_it_is_drained(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """Neither in the process nor on an engine; then all does, in order."""
    client.post("/accounts/?address=ada")
    client.post("/accounts/billed?number=7")
    mail, bill_of = background_tasks.one(Mailer.send_welcome), background_tasks.assert_accepted(bill)
    assert (mail.state, mail.is_held, bill_of.state) == ("waiting", True, "accepted")
    assert done == []
    anyio.run(background_tasks.drain)
    assert (mail.state, mail.is_held, bill_of.state) == ("succeeded", False, "succeeded")
    assert done == ["mail to ada", "bill 7"]


@pytest.mark.background_tasks(mode="hold", only=[bill])
def test_some_are_held_and_the_others_run(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """By their functions."""
    client.post("/accounts/?address=ada")
    client.post("/accounts/billed?number=7")
    assert done == ["mail to ada"]
    anyio.run(background_tasks.drain)
    assert done == ["mail to ada", "bill 7"]


def test_a_block_is_held(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """And what is around it runs."""
    with background_tasks.held():
        client.post("/accounts/?address=held")
    client.post("/accounts/?address=ada")
    assert done == ["mail to ada"]
    anyio.run(background_tasks.drain)
    assert done == ["mail to ada", "mail to held"]


@pytest.mark.background_tasks(mode="hold")
def test_some_are_drained(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """The others are still held."""
    client.post("/accounts/?address=ada")
    client.post("/accounts/billed?number=7")

    async def drain_some() -> None:
        await background_tasks.drain(only=bill)
        assert done == ["bill 7"]
        await background_tasks.drain(only=[Mailer.send_welcome])

    anyio.run(drain_some)
    assert done == ["bill 7", "mail to ada"]


@pytest.mark.background_tasks(mode="hold")
def test_an_error_is_raised_where_it_is_drained(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """What is behind it is still held, and may be drained."""
    client.post("/accounts/audited?what=")
    with pytest.raises(ValueError, match="nothing to audit"):
        anyio.run(background_tasks.drain)
    background_tasks.assert_failed(background_tasks.one(audit, ""), ValueError)
    anyio.run(background_tasks.drain)
    assert done == ["audit of the audit"]


async def test_a_task_is_performed_alone(
    app: App, background_tasks: WatchedBackgroundTasks, anyio_backend: str
) -> None:
    """In a scope of its own, by the container of the application; the first task of all, delayed or not."""
    done.clear()
    task = await background_tasks.of(app).perform(Mailer.send_welcome, address="ada")
    assert (task.state, task.attempt) == ("succeeded", 1)
    assert done == ["mail to ada"]
    with pytest.raises(TypeError, match="colour"):
        await background_tasks.of(app).perform(Mailer.send_welcome, colour="red")


def test_a_task_for_an_engine_is_performed_from_its_message(app: App, background_tasks: WatchedBackgroundTasks) -> None:
    """Whenever it is due; what cannot travel is refused."""
    done.clear()

    async def perform() -> None:
        await background_tasks.of(app).perform(remind, "ada")
        with pytest.raises(TypeError, match="number"):
            await background_tasks.of(app).perform(bill, 1.5)
        with pytest.raises(OSError, match="printer"):
            await background_tasks.of(app).perform(bill, -1)

    anyio.run(perform)
    assert done == ["reminder to ada"]
