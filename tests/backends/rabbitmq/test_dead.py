"""What is dead, as an operator has it: put back and forgotten, and nothing else is touched."""

import time

import aio_pika
import pytest

from bg_di.backends import Engine
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.dead import _dead
from bg_di.backends.rabbitmq.engine import RabbitEngine
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.errors import BackendUnavailable
from bg_di.testing.contract.handles import accepted, finished, message, opened, received, working
from tests.backends.rabbitmq.rabbit import got, raw, until_waiting
from tests.backends.rabbitmq.server import Broker


async def bury(engine: Engine, count: int) -> list[str]:
    """Hand so many tasks over, and let them die; their ids."""
    given = [message() for _ in range(count)]
    accepted(await engine.accept(given))
    async with working(engine) as consumer:
        for delivery in await received(consumer, count):
            assert await consumer.bury(delivery, attempt=3, reason="ValueError: no")
    return [each.task_id for each in given]


async def test_where_nothing_is_dead_nothing_is_done(broker: Broker, application: str) -> None:
    """Not even a queue needs to be there."""
    async with opened(RabbitBackend(broker.url), application) as engine:
        assert list(engine.retry()) == []
        assert engine.prune(before=time.time(), dead=True) == 0


async def test_what_the_broker_has_twice_is_put_back_once(broker: Broker, application: str) -> None:
    """It passes on at least once what it has found to be dead."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        [task_id] = await bury(engine, 1)
        dead = await got(channel, queues.dead.name)
        again = aio_pika.Message(dead.body, headers=dead.headers, delivery_mode=2)
        await channel.default_exchange.publish(again, queues.dead.name)
        await dead.reject(requeue=True)
        assert list(engine.retry()) == [task_id]
        counts = engine.counts()
        assert (counts.waiting, counts.dead) == (1, 0)


async def test_what_is_not_meant_stays_as_often_as_somebody_looks(broker: Broker, application: str) -> None:
    """Also what is nobody's task; RabbitMQ 4 would throw it away after twenty times."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        first, second = await bury(engine, 2)
        for headers in ({}, {"x-death": "yesterday"}):
            foreign = aio_pika.Message(b"?", headers=dict(headers), delivery_mode=2)
            await channel.default_exchange.publish(foreign, queues.dead.name)
        for _ in range(30):
            assert list(engine.retry(["unheard of"])) == []
            assert engine.prune(before=0, dead=True) == 0
        assert engine.counts().dead == 4
        assert list(engine.retry([second, first])) == [first, second]
        assert engine.prune(before=time.time() + 60, dead=True) == 0
        assert engine.counts().dead == 2


async def test_what_was_put_back_has_everything_anew(broker: Broker, application: str) -> None:
    """And runs."""
    async with opened(RabbitBackend(broker.url), application) as engine:
        before = time.time()
        [task_id] = await bury(engine, 1)
        assert list(engine.retry()) == [task_id]
        async with raw(broker.url) as channel:
            back = await got(channel, Queues(application).tasks.name)
            parcel = Parcel.unpacked(back)
            assert (parcel.attempt, parcel.deliveries, parcel.reason, parcel.died_at) == (0, 0, None, None)
            assert before < parcel.added_at <= parcel.due_at
            await back.reject(requeue=True)
        async with working(engine) as consumer:
            assert await finished(consumer, 1) == {task_id}


async def test_what_the_broker_itself_has_buried_has_its_time(broker: Broker, application: str) -> None:
    """No worker has written it down."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([message()]))
        begun = time.time()
        for _ in range(101):
            await (await got(channel, queues.tasks.name)).reject(requeue=True)
        await (await got(channel, queues.dead.name)).reject(requeue=True)
        assert engine.prune(before=begun - 2, dead=True) == 0
        assert engine.prune(before=time.time() + 2, dead=True) == 1


async def test_of_what_has_succeeded_nothing_is_kept(broker: Broker, application: str) -> None:
    """So nothing of it can be forgotten."""
    async with opened(RabbitBackend(broker.url), application) as engine, working(engine) as consumer:
        accepted(await engine.accept([message()]))
        await finished(consumer, 1)
        assert engine.prune(before=time.time() + 60) == 0


async def test_what_another_operator_has_in_hand_is_left_to_it(broker: Broker, application: str) -> None:
    """However many there were at the beginning."""
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        assert isinstance(engine, RabbitEngine)
        await bury(engine, 2)
        async with engine._dial.errand("operator") as connection:
            messages = _dead(connection, engine._queues, engine._terms)
            await anext(messages)
            other = await got(channel, Queues(application).dead.name)
            assert [message async for message in messages] == []
        await other.reject(requeue=True)
        assert len(engine.retry()) == 2


async def test_a_broker_that_fails_meanwhile_loses_nothing(broker: Broker, application: str) -> None:
    """What cannot be put back stays among the dead."""
    queues = Queues(application)
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        await bury(engine, 1)
        await channel.queue_delete(queues.tasks.name)
        await channel.declare_queue(queues.tasks.name, durable=True)
        with pytest.raises(BackendUnavailable, match="somebody else has declared"):
            engine.retry()
        await channel.queue_delete(queues.tasks.name)
        assert engine.counts().dead == 1
        engine.retry()
        await until_waiting(engine, 1)
