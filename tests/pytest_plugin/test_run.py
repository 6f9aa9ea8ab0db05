"""In mode *run* tasks run as always, in the test client's time, and the fixture knows each of them."""

from typing import Any
from unittest.mock import ANY

import anyio
import pytest
from ellar.app import App
from starlette.testclient import TestClient

from bg_di.errors import BackendUnavailable, TaskTimedOut
from bg_di.testing import WatchedBackgroundTasks
from tests.pytest_plugin.shop import Mailer, Provider, audit, bill, done, remind


def test_a_task_has_run_when_the_client_has_its_answer(
    client: TestClient, background_tasks: WatchedBackgroundTasks
) -> None:
    """With what it was called with, where it was added, and how it ended."""
    client.post("/accounts/?address=ada")
    task = background_tasks.one(Mailer.send_welcome, address="ada")
    assert task.state == "succeeded"
    assert (task.name, task.method, task.path, task.attempt) == ("welcome", "POST", "/accounts/", 1)
    assert done == ["mail to ada"]


def test_arguments_match_as_the_signature_binds_them(
    client: TestClient, background_tasks: WatchedBackgroundTasks
) -> None:
    """`f(1)` is `f(x=1)`, defaults count, and `ANY` is whatever was given."""
    client.post("/accounts/?address=ada")
    given: list[dict[str, Any]] = [{"address": "ada"}, {"address": ANY}, {"subject": "welcome"}, {}]
    for wanted in given:
        assert background_tasks.one(Mailer.send_welcome, **wanted).args == ("ada",)
    assert background_tasks.all(Mailer.send_welcome, "grace") == []
    with pytest.raises(TypeError, match="colour"):
        background_tasks.all(Mailer.send_welcome, colour="red")


def test_what_ends_otherwise_is_seen(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """Failed, skipped behind it, and dropped: with the error and the reason."""
    client.post("/accounts/audited?what=")
    failed = background_tasks.assert_failed(background_tasks.one(audit, ""), ValueError)
    assert str(failed.error) == "nothing to audit"
    background_tasks.assert_skipped(background_tasks.one(audit, "the audit"), reason="audit failed before it")
    background_tasks.assert_skipped(background_tasks.one(audit, "a failure"), reason="did not fail")
    assert done == []


def test_retries_take_no_time(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """Their waits pass on the clock of the test: in the process and on an engine."""
    client.post("/accounts/?address=busy")
    assert background_tasks.assert_failed(Mailer.send_welcome, OSError).attempt == 3
    client.post("/accounts/billed?number=-1")
    task = background_tasks.assert_failed(bill, OSError)
    assert (task.state, task.attempt) == ("dead", 2)
    assert background_tasks.clock.passed >= 60


def test_a_timeout_passes_on_the_clock(app: App, background_tasks: WatchedBackgroundTasks) -> None:
    """A fake that takes half a minute does so at once."""

    class Slow(Provider):
        async def deliver(self, address: str) -> None:
            await background_tasks.clock.sleep(31)

    async def perform() -> None:
        await background_tasks.of(app).perform(Mailer.send_welcome, "ada")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Provider, "deliver", Slow.deliver)
        with pytest.raises(TaskTimedOut, match="30"):
            anyio.run(perform)


def test_an_engine_has_a_task_before_the_response_starts(
    client: TestClient, background_tasks: WatchedBackgroundTasks
) -> None:
    """And what runs is what a worker would have got: its message."""
    client.post("/accounts/billed?number=7")
    task = background_tasks.assert_accepted(bill)
    assert (task.state, task.backend) == ("succeeded", "durable")
    assert done == ["bill 7"]


def test_a_delayed_task_runs_when_the_clock_has_come_so_far(
    client: TestClient, background_tasks: WatchedBackgroundTasks
) -> None:
    """Until then it waits on its engine, and that is no failure of the test."""
    client.post("/accounts/reminded?address=ada")
    task = background_tasks.assert_accepted(remind)
    background_tasks.clock.advance(3599)
    anyio.run(background_tasks.drain)
    assert done == []
    background_tasks.clock.advance(1)
    anyio.run(background_tasks.drain)
    background_tasks.assert_ran(task)
    assert done == ["reminder to ada"]


def test_what_an_engine_refuses_is_seen_by_the_client(
    client: TestClient, background_tasks: WatchedBackgroundTasks
) -> None:
    """An engine that cannot be reached is a line of a test."""
    with background_tasks.refusing("is full"):
        response = client.post("/accounts/billed?number=7")
    assert response.status_code == 503
    assert background_tasks.assert_failed(bill, BackendUnavailable).reason == "the backend is full"
    client.post("/accounts/billed?number=8")
    background_tasks.assert_ran(background_tasks.one(bill, 8))


def test_a_block_is_looked_at_alone(client: TestClient, background_tasks: WatchedBackgroundTasks) -> None:
    """What was added before and after it is none of its."""
    client.post("/accounts/?address=before")
    with background_tasks.collect() as got:
        client.post("/accounts/?address=ada")
    client.post("/accounts/?address=after")
    assert got.one(Mailer.send_welcome).args == ("ada",)
    got.assert_ran(Mailer.send_welcome)
    got.assert_not_added(bill)
    assert len(background_tasks.all(Mailer.send_welcome)) == 3


def test_nothing_is_put_over_an_application_outside_of_such_a_test(client: TestClient) -> None:
    """The functions that ran in tests before run on their own path again."""
    client.post("/accounts/audited?what=it")
    assert done == ["audit of it", "audit of the audit"]
