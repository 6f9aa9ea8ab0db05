"""Promise 12 of retries: on an engine each is a delayed delivery, with the attempt's number kept there."""

import time
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from ellar.common import Inject

from bg_di import INJECTED, BackgroundTasks, Retry, TaskContext, background_task
from bg_di.values import seconds
from bg_di.wire import Envelope
from tests.backends.memory import MemoryBackend
from tests.backends.shop import NAME, Shop
from tests.backends.test_worker import Heard, hears
from tests.harness import Log

made: list[int] = []


def flaky(*, fails: Any, retry: Retry | None, total: int = 10**9) -> Any:
    """A task that writes down its attempts, and raises `fails` in the first `total`."""
    made.clear()

    @background_task(name="flaky", retry=retry)
    async def flaky(context: Inject[TaskContext] = INJECTED) -> None:
        made.append(context.attempt)
        if len(made) <= total:
            raise fails

    return flaky


def at_once(**options: Any) -> Retry:
    return Retry(**{"on": OSError, "wait_initial": 0, "wait_jitter": 0, **options})


async def test_a_failing_attempt_is_a_delayed_delivery(log: Log) -> None:
    """It may wait for hours, and holds nothing up meanwhile: its slot is free."""
    ran: list[str] = []
    heard = Heard()
    task = flaky(fails=OSError("away"), total=2, retry=at_once(wait_initial=3600, wait_max=timedelta(hours=3)))

    @background_task(name="other")
    async def other() -> None:
        ran.append("other")

    shop = Shop(task, other, backend={"concurrency": 1}, more=hears(heard))
    await shop.add(task)
    kept = shop.memory.one()
    async with shop.working(*["reschedule"] * 2, *["acknowledge"] * 2) as memory:
        await memory.until("reschedule")
        assert (kept.state, kept.attempt, kept.delivery, kept.reason) == ("accepted", 1, 0, "OSError: away")
        assert 3590 < kept.due_at - time.time() < 3610
        await shop.add(other)
        await memory.until("reschedule", "acknowledge")
        assert ran == ["other"]
        memory.jump(3601)
        await memory.until("reschedule", "acknowledge", "reschedule")
        assert 7190 < kept.due_at - memory.now() < 7210
        memory.jump(7201)
    assert made == [1, 2, 3]
    assert heard.failures == []
    it = f"background task flaky of BACKEND engine ({kept.message.task_id})"
    assert log.messages == [
        f"{it} failed at attempt 1 and runs again in 3600.0 seconds: OSError: away",
        f"{it} failed at attempt 2 and runs again in 7200.0 seconds: OSError: away",
    ]


async def test_the_last_attempt_that_fails_is_reported_and_dead() -> None:
    """Once, with all attempts counted."""
    heard = Heard()
    task = flaky(fails=OSError("away"), retry=at_once(attempts=3))
    shop = Shop(task, more=hears(heard))
    await shop.add(task)
    await shop.work("reschedule", "reschedule", "bury")
    assert made == [1, 2, 3]
    assert shop.memory.one().attempt == 3
    [failure] = heard.failures
    assert str(failure.error) == "away"


async def test_without_a_limit_attempts_go_on() -> None:
    """Neither has the time over all of them a default here."""
    task = flaky(fails=OSError("away"), total=50, retry=at_once(attempts=None))
    shop = Shop(task)
    await shop.add(task)
    await shop.work(*["reschedule"] * 50, "acknowledge")
    assert made == list(range(1, 52))


@pytest.mark.parametrize(
    ("on", "error", "verdicts"),
    [
        (OSError, ConnectionError(), ["reschedule", "acknowledge"]),
        (OSError, ValueError(), ["bury"]),
        ((OSError, ValueError), ValueError(), ["reschedule", "acknowledge"]),
        ((OSError, LookupError), ValueError(), ["bury"]),
        (lambda error: "again" in str(error), ValueError("again"), ["reschedule", "acknowledge"]),
        (lambda error: "again" in str(error), ValueError("never"), ["bury"]),
        (lambda error: True, SystemExit(1), ["bury"]),
    ],
)
async def test_an_error_that_is_not_worth_it_is_the_end(on: Any, error: BaseException, verdicts: list[str]) -> None:
    """By its type, one of several, or whatever a function makes of it; only errors can be worth it."""
    task = flaky(fails=error, total=1, retry=at_once(on=on))
    shop = Shop(task, more=hears(Heard()))
    await shop.add(task)
    await shop.work(*verdicts)
    assert len(made) == len(verdicts)


@pytest.mark.parametrize("told", [0, 0.0, 3000, 3000.5, timedelta(hours=1), timedelta(0)])
async def test_a_predicate_may_say_how_long_to_wait(told: Any) -> None:
    """At once too, and longer than any other wait, which has no part in it."""
    task = flaky(fails=OSError("busy"), total=1, retry=at_once(on=lambda error: told, wait_initial=5, wait_max=9))
    shop = Shop(task)
    await shop.add(task)
    kept = shop.memory.one()
    async with shop.working("reschedule", "acknowledge") as memory:
        since = time.time()
        await memory.until("reschedule")
        wait = seconds(told)
        assert since + wait <= kept.due_at <= time.time() + wait
        memory.jump(wait)
    assert made == [1, 2]


async def test_a_wait_that_is_none_is_the_tasks_failure() -> None:
    """It names what was said."""
    heard = Heard()
    task = flaky(fails=OSError("busy"), retry=at_once(on=lambda error: -1))
    shop = Shop(task, more=hears(heard))
    await shop.add(task)
    await shop.work("bury")
    [failure] = heard.failures
    assert str(failure.error) == "Retry(on=-1): give seconds, as a number or a timedelta, that are not negative"


async def test_a_predicate_that_raises_is_the_tasks_failure() -> None:
    """Its own error is reported, with the attempt's behind it."""
    heard = Heard()

    def broken(error: Exception) -> bool:
        raise LookupError("of the predicate")

    task = flaky(fails=OSError("away"), retry=at_once(on=broken))
    shop = Shop(task, more=hears(heard))
    await shop.add(task)
    await shop.work("bury")
    [failure] = heard.failures
    assert isinstance(failure.error, LookupError)
    assert isinstance(failure.error.__context__, OSError)
    assert shop.memory.one().reason == "LookupError: of the predicate"


@pytest.mark.parametrize(
    ("since", "delay", "timeout", "verdicts"),
    [
        (100, None, 99.9, ["bury"]),
        (100, None, timedelta(seconds=200), ["reschedule", "acknowledge"]),
        (100, 50, 60.0, ["reschedule", "acknowledge"]),
        (100, 50, 40.0, ["bury"]),
        (1e6, None, None, ["reschedule", "acknowledge"]),
        (1e6, None, "default", ["reschedule", "acknowledge"]),
    ],
)
async def test_the_time_over_all_attempts_counts_from_when_it_was_first_due(
    since: float, delay: float | None, timeout: Any, verdicts: list[str]
) -> None:
    """However long the first waited for a worker; not from when it was added, if that was earlier."""
    task = flaky(fails=OSError("away"), total=1, retry=at_once(timeout=timeout))
    shop = Shop(task, more=hears(Heard()))
    shop.put("flaky", added_at=time.time() - since, delay=delay)
    await shop.work(*verdicts)


def test_no_attempt_begins_when_the_time_is_over() -> None:
    """To the moment."""
    ends = partial(Retry(on=OSError).next_after, 1, OSError(), limit=45.0)
    assert ends(passed=44.9) is not None
    assert ends(passed=45.0) is None


async def test_what_was_put_back_has_all_its_time_again() -> None:
    """It is as if it had just been accepted, without the delay that it had."""
    task = flaky(fails=OSError("away"), total=1, retry=at_once(timeout=60))
    shop = Shop(task, more=hears(Heard()))
    kept = shop.put("flaky", added_at=time.time() - 1e6, delay=3600.0)
    kept.state = "dead"
    assert MemoryBackend(memory=shop.memory).open(NAME).retry([kept.message.task_id])
    await shop.work("reschedule", "acknowledge")


async def test_a_deployment_with_fewer_attempts_ends_what_has_had_more() -> None:
    """It is not tried for ever."""
    task = flaky(fails=OSError("away"), retry=at_once(attempts=3))
    shop = Shop(task, more=hears(Heard()))
    kept = shop.put("flaky", attempt=7)
    await shop.work("bury")
    assert (made, kept.attempt) == ([8], 8)


async def test_each_attempt_sees_nothing_of_the_one_before() -> None:
    """What an attempt that failed had added is dropped; the next one adds anew."""
    ran: list[str] = []

    @background_task(name="adding", retry=at_once())
    async def adding(context: Inject[TaskContext] = INJECTED, tasks: Inject[BackgroundTasks] = INJECTED) -> None:
        tasks.using(backend="in_process").add_task(ran.append, f"by attempt {context.attempt}")
        if context.attempt == 1:
            raise OSError

    shop = Shop(adding)
    await shop.add(adding)
    await shop.work("reschedule", "acknowledge")
    assert ran == ["by attempt 2"]


async def test_the_message_is_kept_as_it_was() -> None:
    """A later version may have written more into it than this one knows."""
    task = flaky(fails=OSError("away"), total=1, retry=at_once())
    shop = Shop(task)
    kept = shop.put("flaky")
    before = kept.message.body
    await shop.work("reschedule", "acknowledge")
    assert kept.message.body == before
    assert Envelope.from_bytes(before).name == "flaky"
