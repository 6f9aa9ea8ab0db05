"""Handing over to a broker: accepted is what it has confirmed, refused what it has not taken, unknown the rest."""

import asyncio
import logging
import time

import pytest

from bg_di.backends import Accepted
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.counting import counted
from bg_di.backends.rabbitmq.engine import RabbitEngine
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.errors import BackendUnavailable, OutcomeUnknown
from bg_di.testing.contract.handles import (
    NAME,
    accepted,
    finished,
    finished_by,
    ids,
    message,
    opened,
    received,
    working,
)
from tests.backends.rabbitmq.proxy import Link, Proxy
from tests.backends.rabbitmq.rabbit import GENEROUS, SETTLED, accepts, raw, refusal, until, until_waiting
from tests.backends.rabbitmq.server import Broker, url
from tests.harness import Log


def tasks(application: str) -> str:
    return f"bg_di.tasks.{application}"


def ignore(*task: str) -> None:
    raise AssertionError(task)


async def test_hundreds_at_once_are_accepted_and_run(broker: Broker, application: str) -> None:
    """Each once, while others come."""
    given = [message() for _ in range(600)]
    async with opened(RabbitBackend(broker.url, concurrency=50), application) as engine, working(engine) as consumer:
        async with asyncio.TaskGroup() as group:
            for start in range(0, len(given), 3):
                group.create_task(engine.accept(given[start : start + 3]))
            done = group.create_task(finished_by([consumer], len(given)))
        assert sorted(done.result()) == sorted(ids(given))
        await consumer.stop()
        assert engine.counts().waiting == 0


async def test_what_is_kept_is_kept_for_good(broker: Broker, application: str) -> None:
    """On a replicated queue, and on its disk."""
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([message()]))
        queue = await channel.get_queue(tasks(application), ensure=False)
        kept = await queue.get()
        assert kept.delivery_mode == 2
        await kept.reject(requeue=True)
    listed = broker.control("list_queues", "name", "type", "durable").splitlines()
    assert [line.split()[1:] for line in listed if tasks(application) in line] == [["quorum", "true"]]


async def test_a_broker_that_is_not_there_refuses(application: str) -> None:
    """So it does where a worker begins."""
    engine = RabbitBackend("amqp://shop:s3cr3t@127.0.0.1:1").open(application)
    refused = await refusal(engine, message())
    assert not isinstance(refused, OutcomeUnknown)
    assert str(refused).startswith("RabbitMQ at 127.0.0.1:1 cannot be reached: ")
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        await engine.consume([NAME], lost=ignore)
    with pytest.raises(BackendUnavailable, match="cannot be reached"):
        engine.counts()


async def test_the_node_that_answers_is_taken(broker: Broker, application: str) -> None:
    """And asked first the next time."""
    engine = RabbitBackend(["amqp://127.0.0.1:1", broker.url]).open(application)
    accepted(await engine.accept([message()]))
    assert [each.port for each in engine._dial._urls] == [broker.port, 1]
    await engine.close()


async def test_a_broker_that_swallows_everything_refuses_in_time(broker: Broker, application: str) -> None:
    """As long as nothing has been sent."""
    async with Proxy(broker.port) as proxy:
        proxy.swallows = True
        engine = RabbitBackend(proxy.url, publish_timeout=0.3).open(application)
        refused = await refusal(engine, message())
        assert not isinstance(refused, OutcomeUnknown)
        assert "does not answer in time" in str(refused)
        with pytest.raises(BackendUnavailable, match="does not answer in time"):
            await engine.consume([NAME], lost=ignore)
        await engine.close()


async def test_what_tasks_are_kept_in_is_made_ready_in_time_or_not(broker: Broker, application: str) -> None:
    """The queues are there before the first task is; who gets no answer is told so."""
    async with opened(RabbitBackend(broker.url, publish_timeout=0.5), application) as engine:
        assert isinstance(engine, RabbitEngine)
        async with engine._publisher._opening:  # as if a broker did not answer
            with pytest.raises(BackendUnavailable, match="does not answer in time"):
                await engine.prepare()
        await engine.prepare()
        async with raw(broker.url) as channel:
            for queue in (Queues(application).tasks, Queues(application).dead):
                await channel.get_queue(queue.name)


async def test_a_queue_that_is_deleted_refuses(broker: Broker, application: str) -> None:
    """And is declared anew for the next one."""
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([message()]))
        await channel.queue_delete(tasks(application))
        refused = await refusal(engine, message())
        assert not isinstance(refused, OutcomeUnknown)
        assert f"has no queue '{tasks(application)}' any more" in str(refused)
        accepted(await engine.accept([message()]))


async def test_a_queue_that_is_full_refuses(broker: Broker, application: str) -> None:
    """What it has is not dropped for it."""
    given = [message() for _ in range(30)]
    async with opened(RabbitBackend(broker.url), application) as engine:
        accepted(await engine.accept([message()]))
        limit = ("--apply-to", "queues", application, f"^bg_di.tasks.{application}$", '{"max-length": 5}')
        broker.control("set_policy", *limit)
        outcomes = [(await engine.accept([each]))[0] for each in given]
        broker.control("clear_policy", application)
        refused = [each for each in outcomes if not isinstance(each, Accepted)]
        assert refused
        assert {type(each) for each in refused} == {BackendUnavailable}
        assert "it is full" in str(refused[0])
        await until_waiting(engine, 1 + len(given) - len(refused))


async def test_a_queue_of_somebody_else_is_named(broker: Broker, application: str) -> None:
    """With what it has, and what is needed, wherever that comes up."""
    async with raw(broker.url) as channel:
        await channel.declare_queue(tasks(application), durable=True)
        async with opened(RabbitBackend(broker.url), application) as engine:
            refused = await refusal(engine, message())
            assert not isinstance(refused, OutcomeUnknown)
            assert tasks(application) in str(refused)
            assert "received the value '' of type 'longstr' but current is none" in str(refused)
            assert "'x-queue-type': 'quorum'" in str(refused)
            with pytest.raises(BackendUnavailable, match="but current is none"):
                await engine.consume([NAME], lost=ignore)
            await channel.queue_delete(tasks(application))
            accepted(await engine.accept([message()]))


async def test_an_answer_that_does_not_come_leaves_it_open(broker: Broker, application: str) -> None:
    """It may run all the same, as it does here."""
    given = message()
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(proxy.url, publish_timeout=0.5), application) as engine,
        opened(RabbitBackend(broker.url), application) as direct,
    ):
        accepted(await engine.accept([first := message()]))
        proxy.stall(forth=False)
        unknown = await refusal(engine, given)
        assert isinstance(unknown, OutcomeUnknown)
        assert "has not confirmed within 0.5 seconds" in str(unknown)
        proxy.flow()
        async with working(direct) as consumer:
            assert await finished(consumer, 2) == {first.task_id, given.task_id}


async def test_a_cut_before_the_answer_leaves_it_open(broker: Broker, application: str) -> None:
    """Afterwards all is well: the connection is opened anew."""
    given = message()
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(proxy.url), application) as engine,
        opened(RabbitBackend(broker.url), application) as direct,
    ):
        accepted(await engine.accept([message()]))
        proxy.stall(forth=False)
        handing_over = asyncio.create_task(refusal(engine, given))
        await until_waiting(direct, 2)
        proxy.cut()
        unknown = await handing_over
        assert isinstance(unknown, OutcomeUnknown)
        assert "was cut off before it confirmed" in str(unknown)
        accepted(await engine.accept([message()]))
        async with working(direct) as consumer:
            assert given.task_id in await finished(consumer, 3)


async def test_a_black_hole_is_noticed(broker: Broker, application: str, log: Log) -> None:
    """By the heartbeats that do not come, within three of them, on both sides; then both begin anew."""
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(proxy.url, heartbeat=3, publish_timeout=20), application) as engine,
        working(engine) as consumer,
    ):
        accepted(await engine.accept([message()]))
        assert len(await finished(consumer, 1)) == 1
        proxy.stall()
        stalled = time.monotonic()
        unknown = await refusal(engine, message())
        assert isinstance(unknown, OutcomeUnknown)
        assert "has not given any sign of life" in str(unknown)
        await until(lambda: any("is lost" in line for line in log.messages))
        accepted(await engine.accept([last := message()]))
        assert await finished(consumer, 1) == {last.task_id}
        assert time.monotonic() - stalled < 3 * 3 + GENEROUS


async def test_a_cut_amid_many_loses_none_that_was_accepted(broker: Broker, application: str) -> None:
    """Each of the others has an outcome, too."""
    given = [message() for _ in range(200)]
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(proxy.url), application) as engine,
        opened(RabbitBackend(broker.url, concurrency=500), application) as direct,
    ):
        accepted(await engine.accept([message()]))
        handing_over = [asyncio.create_task(engine.accept([each])) for each in given]
        await asyncio.wait(handing_over, return_when=asyncio.FIRST_COMPLETED)
        proxy.cut()
        outcomes = [outcome for task in handing_over for outcome in await task]
        sure = {each.task_id for each in outcomes if isinstance(each, Accepted)}
        refused = {one.task_id for one, each in zip(given, outcomes, strict=True) if type(each) is BackendUnavailable}
        waiting = direct.counts().waiting
        async with working(direct) as consumer:
            done = ids(await received(consumer, waiting))
        assert sure <= done
        assert not refused & done


async def test_a_broker_that_is_killed_and_restarted_has_what_it_accepted(broker: Broker, application: str) -> None:
    """Meanwhile it refuses, or leaves it open, but nobody waits; and the worker is there again by itself."""
    async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
        accepted(await engine.accept([message()]))
        assert len(await finished(consumer, 1)) == 1
        await asyncio.sleep(SETTLED)
        given = [message() for _ in range(50)]
        accepted(await engine.accept(given))
        broker.kill()
        await refusal(engine, message())
        await asyncio.to_thread(broker.start)
        await accepts(engine, last := message())
        seen: set[str] = set()
        while not seen >= ids([*given, last]):
            for delivery in await consumer.receive(10):
                await consumer.acknowledge(delivery)
                seen.add(delivery.task_id)


async def test_what_is_being_accepted_is_awaited_at_the_end(broker: Broker, application: str) -> None:
    """Also if nobody waits for it; what comes later is refused."""
    async with Proxy(broker.port) as proxy, opened(RabbitBackend(broker.url), application) as direct:
        engine = RabbitBackend(proxy.url).open(application)
        accepted(await engine.accept([message()]))
        proxy.stall(forth=False)
        handing_over = asyncio.create_task(engine.accept([message()]))
        await until_waiting(direct, 2)
        handing_over.cancel()
        await asyncio.wait([handing_over])
        closing = asyncio.create_task(engine.close())
        await asyncio.sleep(0)
        assert engine._accepting
        proxy.flow()
        await closing
        assert not engine._accepting
        assert "has been closed by this application" in str(await refusal(engine, message()))


@pytest.mark.parametrize("sent", [False, True])
async def test_who_does_not_wait_any_more_is_let_go(sent: bool, broker: Broker, application: str) -> None:
    """A cancellation is nobody's failure, wherever it comes."""
    async with Proxy(broker.port) as proxy:
        publisher = RabbitBackend(proxy.url).open(application)._publisher
        queue = Queues(application).tasks
        if sent:
            await publisher.publish(queue, Parcel.of(message()))
        proxy.swallows = True
        proxy.stall()
        publishing = asyncio.create_task(publisher.publish(queue, Parcel.of(message())))
        await until(lambda: proxy.links)
        await asyncio.sleep(0)
        publishing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await publishing
        proxy.cut()
        await publisher.close()


async def test_who_begins_to_work_and_does_not_wait_is_let_go(broker: Broker, application: str) -> None:
    """Nothing stays open."""
    async with Proxy(broker.port) as proxy:
        engine = RabbitBackend(proxy.url).open(application)
        consuming = asyncio.create_task(engine.consume([NAME], lost=ignore))
        await until(lambda: proxy.links)
        proxy.stall()
        await asyncio.sleep(0)
        consuming.cancel()
        with pytest.raises(asyncio.CancelledError):
            await consuming
        # An event loop that ends while the client closes might wait for ever.
        running = {getattr(task.get_coro(), "__qualname__", None) for task in asyncio.all_tasks()}
        assert "Connection.close" not in running


async def test_nobody_is_told_a_password(broker: Broker, application: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whether it is right or wrong, and whoever logs how much."""
    user, right, wrong = f"user-{application}", f"right-{application}", f"wrong-{application}"
    broker.control("add_user", user, right)
    said = []
    with caplog.at_level(logging.DEBUG):
        engine = RabbitBackend(url(broker.port, user, wrong)).open(application)
        said.append(str(refused := await refusal(engine, message())))
        assert "does not let this user in" in said[0]
        said.append(repr(refused) + repr(refused.__cause__))
        engine = RabbitBackend(url(broker.port, user, right)).open(application)
        said.append(str(await refusal(engine, message())))
        broker.control("set_permissions", user, ".*", ".*", ".*")
        async with opened(RabbitBackend(url(broker.port, user, right)), application) as let_in:
            accepted(await let_in.accept([message()]))
            async with working(let_in) as consumer:
                assert len(await finished(consumer, 1)) == 1
    assert caplog.records
    said.append(caplog.text)
    assert not [text for text in said if right in text or wrong in text]


def test_an_engine_whose_loop_has_gone_can_be_left(broker: Broker, application: str) -> None:
    """What its worker had goes back; one delivery is counted, as the broker cannot know."""

    async def leave() -> None:
        consumer = await engine.consume([NAME], lost=ignore)
        accepted(await engine.accept([message()]))
        assert len(await consumer.receive(1)) == 1

    engine = RabbitBackend(broker.url).open(application)
    asyncio.run(leave())
    engine.abandon()

    async def again() -> None:
        async with opened(RabbitBackend(broker.url), application) as other, working(other) as consumer:
            (delivery,) = await received(consumer)
            assert delivery.delivery == 2
            assert await consumer.acknowledge(delivery)

    asyncio.run(again())


async def test_a_broker_that_forbids_to_listen_is_told_from_one_that_is_not_there(
    broker: Broker, application: str
) -> None:
    """With its own words."""
    user = f"user-{application}"
    broker.control("add_user", user, "word")
    broker.control("set_permissions", user, ".*", ".*", f"bg_di.dead.{application}")
    async with opened(RabbitBackend(url(broker.port, user, "word")), application) as engine:
        with pytest.raises(BackendUnavailable, match="cannot be used: ACCESS_REFUSED"):
            await engine.consume([NAME], lost=ignore)


async def test_a_broker_that_does_not_tell_how_much_there_is_cannot_be_counted(
    broker: Broker, application: str
) -> None:
    """Nobody waits for it for long."""
    engine = RabbitBackend(broker.url).open(application)
    with pytest.raises(BackendUnavailable, match="does not answer in time"):
        await counted(engine._dial, engine._queues, patience=0)


class Far(Proxy):
    """A broker on another continent."""

    async def passed(self, link: Link, some: bytes, *, forth: bool) -> bytes:
        await asyncio.sleep(0.05)
        return some


async def test_a_broker_that_is_far_away_tells_how_much_there_is_to_do(broker: Broker, application: str) -> None:
    """Its queues are many, and are asked at once."""
    async with Far(broker.port) as proxy, opened(RabbitBackend(broker.url), application) as direct:
        accepted(await direct.accept([message(), message(due_at=time.time() + 100)]))
        far = RabbitBackend(proxy.url).open(application)
        counts = await counted(far._dial, far._queues, patience=4)
        assert (counts.waiting, counts.dead) == (2, 0)
