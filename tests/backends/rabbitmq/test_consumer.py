"""A worker's side: what is cut off, comes again, is early, unknown, hopeless or nobody's."""

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, cast

import aio_pika
import pytest

from bg_di.backends import Consumer, Engine
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.consumer import RabbitConsumer
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.errors import BackendUnavailable
from bg_di.testing.contract.handles import NAME, accepted, finished, ids, message, opened, received, working
from tests.backends.rabbitmq.proxy import Proxy
from tests.backends.rabbitmq.rabbit import GENEROUS, accepts, got, nothing_waits, raw, until, until_waiting
from tests.backends.rabbitmq.server import Broker
from tests.harness import Log


class Way:
    """A worker behind a proxy, and an engine that goes past it."""

    def __init__(self, proxy: Proxy, engine: Engine, direct: Engine, consumer: Consumer, log: Log) -> None:
        self.proxy, self.engine, self.direct, self.consumer = proxy, engine, direct, consumer
        self._log = log

    async def lose(self) -> None:
        """Cut the worker off, with no way back, and wait until it has noticed."""
        self.proxy.refuses = True
        self.proxy.cut()
        await until(lambda: any("is lost" in line for line in self._log.messages))

    def find(self) -> None:
        """Let it come back."""
        self.proxy.refuses = False
        self._log.records.clear()

    async def next(self) -> str:
        """The id of a task that comes after whatever has come again."""
        accepted(await self.direct.accept([given := message()]))
        assert await finished(self.consumer, 1) == {given.task_id}
        return given.task_id


@asynccontextmanager
async def behind_a_proxy(broker: Broker, application: str, log: Log, **options: Any) -> AsyncGenerator[Way]:
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(broker.url), application) as direct,
        opened(RabbitBackend(proxy.url, **options), application) as engine,
        working(engine) as consumer,
    ):
        yield Way(proxy, engine, direct, consumer, log)


async def test_what_comes_again_while_it_runs_is_settled_with_it(broker: Broker, application: str, log: Log) -> None:
    """A cut starts no task twice in one process."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.direct.accept([message()]))
        (delivery,) = await received(way.consumer)
        way.proxy.cut()
        await way.next()
        assert await way.consumer.acknowledge(delivery)
        await nothing_waits(way.direct, way.consumer)
    assert any(line.endswith("is back") for line in log.messages)


async def test_what_comes_again_after_it_has_ended_is_not_run(broker: Broker, application: str, log: Log) -> None:
    """Its acknowledgement came too late to be heard, which does no harm."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.direct.accept([message()]))
        (delivery,) = await received(way.consumer)
        await way.lose()
        assert not await way.consumer.acknowledge(delivery)
        way.find()
        await way.next()
        await nothing_waits(way.direct, way.consumer)


async def test_what_the_broker_takes_back_is_not_run_twice_here(application: str, log: Log) -> None:
    """It takes what has run for its `consumer_timeout`, which is named; what runs is settled with what comes again."""
    hasty = Broker(configuration="consumer_timeout = 1000\n", erlang="-rabbit channel_tick_interval 500")
    with hasty as broker:
        async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
            accepted(await engine.accept([given := message()]))
            (delivery,) = await received(consumer)
            await until(lambda: any("delivery acknowledgement" in line for line in log.messages))
            await until(lambda: any(line.endswith("is back") for line in log.messages))
            await until(lambda: len(cast(RabbitConsumer, consumer)._in_hand.all()[0].messages) == 2)
            assert await consumer.acknowledge(delivery)
            accepted(await engine.accept([last := message()]))
            assert await finished(consumer, 1) == {last.task_id} != {given.task_id}


async def test_what_is_said_of_a_lost_delivery_is_not_heard(broker: Broker, application: str, log: Log) -> None:
    """It comes again, counted, and what is said of that counts."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.direct.accept([given := message()]))
        (delivery,) = await received(way.consumer)
        await way.lose()
        assert not await way.consumer.reschedule(delivery, delay=0, attempt=1, reason="OSError: no")
        assert not await way.consumer.reschedule(delivery, delay=0, attempt=1, reason="OSError: no")
        way.find()
        (again,) = await received(way.consumer)
        assert (again.task_id, again.attempt, again.delivery) == (given.task_id, 0, 2)
        assert await way.consumer.acknowledge(again)
        await nothing_waits(way.direct, way.consumer)


async def test_what_was_taken_and_not_given_out_is_left_to_others(broker: Broker, application: str, log: Log) -> None:
    """When its delivery is lost before a slot is free."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.direct.accept([given := message()]))
        consumer: Any = way.consumer
        await until(lambda: consumer._ready)
        await way.lose()
        async with working(way.direct) as other:
            assert await finished(other, 1) == {given.task_id}
        receiving = asyncio.create_task(received(consumer))
        await asyncio.sleep(0)
        assert not consumer._in_hand.all()
        way.find()
        accepted(await way.direct.accept([last := message()]))
        assert ids(await receiving) == {last.task_id}


async def test_what_takes_its_place_may_come_before_that_is_confirmed(
    broker: Broker, application: str, log: Log
) -> None:
    """It is not taken for the same once more, and runs."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.engine.accept([given := message()]))
        (delivery,) = await received(way.consumer)
        _, publisher = way.proxy.links
        publisher.stall(forth=False)
        releasing = asyncio.create_task(way.consumer.release(delivery))
        consumer: Any = way.consumer
        await until(lambda: consumer._in_hand.of(delivery).others)
        publisher.flow()
        assert await releasing
        (again,) = await received(way.consumer)
        assert (again.task_id, again.delivery) == (given.task_id, 1)
        assert await way.consumer.acknowledge(again)
        await nothing_waits(way.direct, way.consumer)


async def test_what_comes_after_that_is_not_taken_for_the_same(broker: Broker, application: str) -> None:
    """Others may have run what took its place, and put the next attempt there, before that is confirmed here."""
    async with (
        Proxy(broker.port) as proxy,
        opened(RabbitBackend(broker.url, concurrency=1), application) as direct,
        opened(RabbitBackend(proxy.url, concurrency=2), application) as engine,
        working(engine) as slow,
    ):
        accepted(await engine.accept([given := message()]))
        _, publisher = proxy.links
        accepted(await direct.accept([beside := message()]))
        deliveries = {each.task_id: each for each in await received(slow, 2)}
        publisher.stall(forth=False)
        again = asyncio.create_task(slow.reschedule(deliveries[given.task_id], delay=0, attempt=1, reason="first"))
        async with working(direct) as quick:
            (second,) = await received(quick)
            assert (second.task_id, second.attempt) == (given.task_id, 1)
            assert await slow.acknowledge(deliveries[beside.task_id])  # which makes room
            assert await quick.reschedule(second, delay=0, attempt=2, reason="second")
            (held,) = cast(RabbitConsumer, slow)._in_hand.all()
            await until(lambda: held.others)
        publisher.flow()
        assert await again
        (third,) = await received(slow)
        assert (third.task_id, third.attempt) == (given.task_id, 2)
        assert await slow.acknowledge(third)
        await nothing_waits(direct, slow)


async def test_a_worker_that_stops_without_a_broker_stops(broker: Broker, application: str, log: Log) -> None:
    """What it had goes back as from one that has died: a delivery is counted."""
    async with behind_a_proxy(broker, application, log) as way:
        accepted(await way.direct.accept([given := message()]))
        await received(way.consumer)
        way.proxy.refuses = True
        way.proxy.stall(forth=False)
        way.proxy.cut()
        await way.consumer.stop()
        async with working(way.direct) as other:
            (again,) = await received(other)
            assert (again.task_id, again.delivery) == (given.task_id, 2)
            assert await other.acknowledge(again)


async def test_a_worker_takes_no_more_than_it_may_run(broker: Broker, application: str) -> None:
    """The rest is there for others."""
    async with opened(RabbitBackend(broker.url, concurrency=3), application) as engine, working(engine) as consumer:
        accepted(await engine.accept([message() for _ in range(10)]))
        await received(consumer, 3)
        await until_waiting(engine, 7)
        await consumer.stop()
        assert engine.counts().waiting == 10


async def test_a_queue_that_is_deleted_is_declared_and_listened_to_anew(
    broker: Broker, application: str, log: Log
) -> None:
    """What was in it is gone, what comes is not."""
    async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
        accepted(await engine.accept([message()]))
        assert len(await finished(consumer, 1)) == 1
        async with raw(broker.url) as channel:
            await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any("is lost" in line for line in log.messages))
        await accepts(engine, given := message())
        assert given.task_id in await finished(consumer, 1)


async def test_what_is_in_hand_survives_the_queue_that_it_came_from(broker: Broker, application: str, log: Log) -> None:
    """Nobody else gets it: it runs again, goes back and is dead as if nothing had happened."""
    async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
        accepted(await engine.accept([message() for _ in range(4)]))
        again, back, dead, done = await received(consumer, 4)
        async with raw(broker.url) as channel:
            await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any(line.endswith("is back") for line in log.messages))
        assert await consumer.reschedule(again, delay=0, attempt=1, reason="ValueError: no")
        assert await consumer.release(back)
        assert await consumer.bury(dead, attempt=1, reason="ValueError: no")
        assert await consumer.acknowledge(done)
        assert await finished(consumer, 2) == {again.task_id, back.task_id}
        assert engine.counts().dead == 1


async def test_what_is_in_hand_survives_its_queue_and_then_its_connection(
    broker: Broker, application: str, log: Log
) -> None:
    """The broker has nothing that it could give back to anybody; what has come and not begun is no exception."""
    async with behind_a_proxy(broker, application, log) as way, raw(broker.url) as channel:
        accepted(await way.direct.accept([message() for _ in range(5)]))
        again, back, dead, done = await received(way.consumer, 4)
        ready = cast(RabbitConsumer, way.consumer)._ready
        await until(lambda: ready)
        waiting = ready[0].parcel.task_id
        await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any("the queue was deleted" in line for line in log.messages))
        way.proxy.cut()
        await until(lambda: any(line.endswith("is back") for line in log.messages))
        assert await way.consumer.reschedule(again, delay=0, attempt=1, reason="ValueError: no")
        assert await way.consumer.release(back)
        assert await way.consumer.bury(dead, attempt=1, reason="ValueError: no")
        assert await way.consumer.acknowledge(done)
        assert await finished(way.consumer, 3) == {again.task_id, back.task_id, waiting}
        assert way.direct.counts().dead == 1


async def test_a_queue_that_is_deleted_is_listened_to_on_another_connection_if_need_be(
    broker: Broker, application: str, log: Log
) -> None:
    """If the one that there was swallows everything just then."""
    async with behind_a_proxy(broker, application, log, publish_timeout=0.5) as way, raw(broker.url) as channel:
        await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any("is lost" in line for line in log.messages))
        way.proxy.stall()
        await until(lambda: any(line.endswith("is back") for line in log.messages))
        await accepts(way.direct, given := message())
        assert await finished(way.consumer, 1) == {given.task_id}


async def test_a_queue_that_comes_back_as_another_kind_is_named(broker: Broker, application: str, log: Log) -> None:
    """Until it is ours again."""
    async with (
        opened(RabbitBackend(broker.url), application) as engine,
        working(engine) as consumer,
        raw(broker.url) as channel,
    ):
        await channel.queue_delete(Queues(application).tasks.name)
        await channel.declare_queue(Queues(application).tasks.name, durable=True)
        await until(lambda: any("somebody else has declared" in line for line in log.messages))
        await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any(line.endswith("is back") for line in log.messages))
        await accepts(engine, given := message())
        assert await finished(consumer, 1) == {given.task_id}


async def test_a_broker_that_does_not_let_it_back_is_named_once(broker: Broker, application: str, log: Log) -> None:
    """Until it does."""
    async with (
        behind_a_proxy(broker, application, log) as way,
        raw(broker.url) as channel,
    ):
        await way.lose()
        await channel.queue_delete(Queues(application).tasks.name)
        await channel.declare_queue(Queues(application).tasks.name, durable=True)
        way.find()
        await until(lambda: any("somebody else has declared" in line for line in log.messages))
        await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: any(line.endswith("is back") for line in log.messages))
        said = [line for line in log.messages if "somebody else has declared" in line]
        assert len(said) == 1
        await way.next()


async def test_delays_are_exact(broker: Broker, application: str) -> None:
    """Never early, composed of several queues, and soon over."""
    now = time.time()
    given = {each.task_id: each for each in (message(due_at=now + 0.3 * number) for number in range(1, 8))}
    async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
        accepted(await engine.accept(list(given.values())))
        late = []
        for _ in given:
            (delivery,) = await received(consumer)
            late.append(time.time() - given[delivery.task_id].due_at)
            assert delivery.due_at == given[delivery.task_id].due_at
            assert delivery.delivery == 1
            assert await consumer.acknowledge(delivery)
    assert min(late) >= 0
    assert max(late) < GENEROUS


async def test_what_waits_survives_the_queue_that_it_goes_to(broker: Broker, application: str) -> None:
    """The broker insists until that is there again."""
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given := message(due_at=time.time() + 0.5)]))
        await channel.queue_delete(Queues(application).tasks.name)
        await until(lambda: time.time() > given.due_at)  # and it has nowhere to go
        async with working(engine) as consumer:
            assert await finished(consumer, 1) == {given.task_id}


async def test_what_is_dead_is_kept_with_the_reason(broker: Broker, application: str) -> None:
    """Its arguments too; that there is room for it is made sure of first."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given := message(body=b'{"a": 1}')]))
        async with working(engine) as consumer:
            (delivery,) = await received(consumer)
            await channel.queue_delete(queues.dead.name)
            with pytest.raises(BackendUnavailable, match="has no queue"):
                await consumer.bury(delivery, attempt=3, reason="ValueError: no")
            assert await consumer.bury(delivery, attempt=3, reason="ValueError: no")
        dead = await got(channel, queues.dead.name)
        assert (dead.body, dead.headers["task_id"], dead.headers["attempt"]) == (given.body, given.task_id, 3)
        assert dead.headers["reason"] == "ValueError: no"
        await dead.reject(requeue=True)


class Lost:
    """Who hears of what the engine has made dead."""

    def __init__(self) -> None:
        self.heard: list[tuple[str, str, str]] = []

    def __call__(self, task_id: str, name: str, reason: str) -> None:
        self.heard.append((task_id, name, reason))


@asynccontextmanager
async def losing(engine: Engine) -> AsyncGenerator[tuple[Lost, Consumer]]:
    lost = Lost()
    consumer = await engine.consume([NAME], lost=lost)
    yield lost, consumer
    await consumer.stop()


async def test_what_was_delivered_too_often_is_dead(broker: Broker, application: str) -> None:
    """It may be what kills workers."""
    queues = Queues(application)
    async with (
        opened(RabbitBackend(broker.url, max_deliveries=2), application) as engine,
        raw(broker.url) as channel,
    ):
        accepted(await engine.accept([given := message()]))
        for _ in range(2):
            await (await got(channel, queues.tasks.name)).reject(requeue=True)
        async with losing(engine) as (lost, _):
            dead = await got(channel, queues.dead.name)
            reason = "it was delivered 2 times, and no worker has ended it"
            assert dead.headers["reason"] == reason
            await until(lambda: lost.heard)
            assert lost.heard == [(given.task_id, NAME, reason)]


async def test_the_broker_itself_ends_what_no_worker_can_bury(broker: Broker, application: str) -> None:
    """After a hundred deliveries; it does not get lost."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given := message()]))
        for _ in range(101):
            await (await got(channel, queues.tasks.name)).reject(requeue=True)
        dead = await got(channel, queues.dead.name)
        assert dead.headers["task_id"] == given.task_id


async def test_what_nobody_knows_is_dead_in_the_end(broker: Broker, application: str) -> None:
    """Until then it is offered again and again; how long it has waited goes with it."""
    queues = Queues(application)
    async with (
        opened(RabbitBackend(broker.url, unknown_after=0.6), application) as engine,
        raw(broker.url) as channel,
    ):
        accepted(await engine.accept([given := message(name="contract:unknown")]))
        async with losing(engine) as (lost, _):
            dead = await got(channel, queues.dead.name)
            assert dead.headers["reason"] == "no worker knew it for 0.6 seconds"
            await until(lambda: lost.heard)
            assert [task_id for task_id, _, _ in lost.heard] == [given.task_id]


async def test_what_is_nobodys_task_is_dead(broker: Broker, application: str) -> None:
    """With its bytes, and why; the others go on."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        async with losing(engine) as (lost, consumer):
            for foreign in (aio_pika.Message(b"?"), aio_pika.Message(b"?", headers={"task_id": "a"})):
                await channel.default_exchange.publish(foreign, queues.tasks.name)
            await until(lambda: len(lost.heard) == 2)
            assert {reason for _, _, reason in lost.heard} == {
                "it is no message of bg_di: it has no header 'task_id'",
                "it is no message of bg_di: it has no header 'name'",
            }
            accepted(await engine.accept([given := message()]))
            assert await finished(consumer, 1) == {given.task_id}
        for _ in range(2):
            dead = await got(channel, queues.dead.name)
            assert dead.body == b"?"
            assert "it is no message of bg_di" in str(dead.headers["reason"])


async def test_little_is_told_of_a_wrong_header(broker: Broker, application: str) -> None:
    """All of it would not fit into the frame that tells of it, and break the connection on which others publish."""
    headers = {**Parcel.of(message()).packed().headers, "added_at": "\x01" * 60_000}
    async with (
        opened(RabbitBackend(broker.url), application) as engine,
        raw(broker.url) as channel,
        losing(engine) as (lost, _),
    ):
        await channel.default_exchange.publish(aio_pika.Message(b"?", headers=headers), Queues(application).tasks.name)
        await until(lambda: lost.heard)
        ((_, _, reason),) = lost.heard
        assert "a header is wrong: it has 60000 characters" in reason
        assert len(reason) < 300


async def test_what_cannot_be_put_elsewhere_is_tried_until_it_can(broker: Broker, application: str, log: Log) -> None:
    """It is said once; what is lost meanwhile is tried when it comes again."""
    delay = Queues(application).delay(1)
    async with raw(broker.url) as channel, behind_a_proxy(broker, application, log) as way:
        await channel.declare_queue(delay.name, durable=True)
        accepted(await way.direct.accept([unknown := message(name="contract:unknown")]))

        def said() -> list[str]:
            return [line for line in log.messages if "could not be put elsewhere" in line]

        await until(said)
        assert unknown.task_id in said()[0]
        await until(lambda: broker.log.count(delay.name) >= 3)  # each try is refused there
        assert len(said()) == 1
        await way.lose()
        await until(lambda: not in_hand(way.consumer))
        way.find()
        await until(said)
        await channel.queue_delete(delay.name)
        await until(lambda: not in_hand(way.consumer))
        async with working(way.direct, [unknown.name]) as other:
            (delivery,) = await received(other)
            assert (delivery.task_id, delivery.delivery) == (unknown.task_id, 2)
            assert await other.acknowledge(delivery)


def in_hand(consumer: Any) -> object:
    return consumer._in_hand.all()


async def test_a_worker_that_rests_keeps_only_what_it_runs(broker: Broker, application: str) -> None:
    """What the broker has sent ahead others run at once, uncounted; what it runs can be settled."""
    given = [message() for _ in range(3)]
    async with opened(RabbitBackend(broker.url), application) as engine:
        accepted(await engine.accept(given))
        async with working(engine) as first:
            (runs,) = await first.receive(1)
            await until(lambda: len(cast(RabbitConsumer, first)._in_hand.all()) == 3)
            await first.rest()
            async with working(engine) as second:
                accepted(await engine.accept([last := message()]))
                others = await received(second, 3)
                assert {each.task_id for each in (*others, runs)} == {each.task_id for each in (*given, last)}
                assert {each.delivery for each in others} == {1}
                for each in others:
                    assert await second.acknowledge(each)
            assert await first.acknowledge(runs)
        await nothing_waits(engine, first)


@pytest.mark.parametrize("rests_first", [True, False])
async def test_what_ends_as_a_worker_rests_lets_nothing_be_counted(
    rests_first: bool, broker: Broker, application: str
) -> None:
    """A broker chooses what comes next for whoever acknowledges, and counts it even if it cannot send it any more."""
    async with opened(RabbitBackend(broker.url, concurrency=1), application) as engine:
        accepted(await engine.accept([message(), message()]))
        async with working(engine) as first:
            (ends,) = await received(first)
            if rests_first:
                resting = asyncio.create_task(first.rest())
                await asyncio.sleep(0)
                assert await first.acknowledge(ends)
                await resting
            else:
                assert await first.acknowledge(ends)
        async with working(engine) as second:
            (next_one,) = await received(second)
            assert next_one.delivery == 1
            assert await second.acknowledge(next_one)


async def test_what_is_on_its_way_when_a_worker_stops_gets_there(broker: Broker, application: str, log: Log) -> None:
    """Or is given up, and goes back, where it cannot be waited for."""
    delay = Queues(application).delay(1)
    async with raw(broker.url) as channel, behind_a_proxy(broker, application, log, publish_timeout=0.5) as way:
        await channel.declare_queue(delay.name, durable=True)
        accepted(await way.direct.accept([unknown := message(name="contract:unknown")]))
        await until(lambda: in_hand(way.consumer))
        await way.consumer.stop()
        await until_waiting(way.direct, 1)
        async with working(way.direct, [unknown.name]) as other:
            assert await finished(other, 1) == {unknown.task_id}
        await channel.queue_delete(delay.name)


async def test_what_has_ended_is_acknowledged_by_who_is_cut_off_while_it_rests(
    broker: Broker, application: str
) -> None:
    """Acknowledgements wait then, and no longer than the task may."""
    async with opened(RabbitBackend(broker.url), application) as engine:
        accepted(await engine.accept([message(), message()]))
        async with working(engine) as consumer:
            first, second = await received(consumer, 2)
            assert await consumer.acknowledge(first)  # after which there is some time to rest
            resting = asyncio.create_task(consumer.rest())
            await asyncio.sleep(0)
            ending = asyncio.create_task(consumer.acknowledge(second))
            await asyncio.sleep(0)
            ending.cancel()
            await asyncio.wait([ending, resting])
            await nothing_waits(engine, consumer)


async def test_a_worker_that_is_cut_off_as_it_stops_lets_go(broker: Broker, application: str) -> None:
    """What it had goes back as from one that has died, and no later than that."""
    async with opened(RabbitBackend(broker.url), application) as engine:
        accepted(await engine.accept([given := message()]))
        consumer = await engine.consume([NAME], lost=Lost())
        await received(consumer)
        stopping = asyncio.create_task(consumer.stop())
        await asyncio.sleep(0)
        stopping.cancel()
        await asyncio.wait([stopping])
        async with working(engine) as other:
            assert await finished(other, 1) == {given.task_id}
