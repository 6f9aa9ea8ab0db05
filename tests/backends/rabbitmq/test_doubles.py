"""A task that is there twice, as the page on RabbitMQ has it: what the second one sees, and what is caught."""

from collections.abc import Sequence
from dataclasses import replace

from aio_pika.abc import AbstractChannel

from bg_di.backends import Message
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.testing.contract.handles import accepted, finished, message, opened, received, working
from tests.backends.rabbitmq.rabbit import got, nothing_waits, raw, until_waiting
from tests.backends.rabbitmq.server import Broker


async def puts(channel: AbstractChannel, application: str, *parcels: Parcel) -> None:
    """What a process put into the queue that has died, or a node."""
    for parcel in parcels:
        await channel.default_exchange.publish(parcel.packed(), Queues(application).tasks.name)


async def seen(broker: Broker, application: str, given: Message) -> Sequence[tuple[int, int]]:
    """What two processes see of a task that is there twice: the attempts that were made, and the deliveries."""
    backend = RabbitBackend(broker.url, concurrency=1)
    async with (
        opened(backend, application) as first,
        opened(backend, application) as second,
        working(first) as one,
        working(second) as two,
    ):
        deliveries = [(consumer, (await received(consumer))[0]) for consumer in (one, two)]
        for consumer, delivery in deliveries:
            assert delivery.task_id == given.task_id
            assert await consumer.acknowledge(delivery)
    return sorted((delivery.attempt, delivery.delivery) for _, delivery in deliveries)


async def test_a_retry_whose_process_died_before_it_acknowledged_is_there_twice(
    broker: Broker, application: str
) -> None:
    """One repeats the attempt, counted, and the other is the next attempt, which nothing shows to be a double."""
    given = message()
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given]))
        died = await got(channel, Queues(application).tasks.name)
        await puts(channel, application, replace(Parcel.of(given), copy="next", attempt=1))
        await died.reject(requeue=True)
        await until_waiting(engine, 2)
        assert await seen(broker, application, given) == [(0, 2), (1, 1)]


async def test_what_a_node_has_passed_on_twice_looks_the_same(broker: Broker, application: str) -> None:
    """Nothing tells one from the other."""
    given = message()
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given]))
        await puts(channel, application, Parcel.of(given))
        await until_waiting(engine, 2)
        assert await seen(broker, application, given) == [(0, 1), (0, 1)]


async def test_in_one_process_it_runs_once(broker: Broker, application: str) -> None:
    """What comes while it runs is settled with it, and what comes afterwards is known."""
    given, last = message(), message()
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given]))
        async with working(engine) as consumer:
            (delivery,) = await received(consumer)
            await puts(channel, application, Parcel.of(given))
            await until_waiting(engine, 0)
            assert await consumer.acknowledge(delivery)
            await puts(channel, application, Parcel.of(given))
            accepted(await engine.accept([last]))
            assert await finished(consumer, 1) == {last.task_id}
            await nothing_waits(engine, consumer)


async def test_in_one_process_another_copy_of_what_succeeds_does_not_run(broker: Broker, application: str) -> None:
    """It is settled with it. If the task does not succeed, it comes after it: it may be the only one that is left."""
    given, last = message(), message()
    async with opened(RabbitBackend(broker.url), application) as engine, raw(broker.url) as channel:
        accepted(await engine.accept([given]))
        async with working(engine) as consumer:
            (delivery,) = await received(consumer)
            await puts(channel, application, replace(Parcel.of(given), copy="other"))
            await until_waiting(engine, 0)
            assert await consumer.bury(delivery, attempt=1, reason="ValueError: no")
            (other,) = await received(consumer)
            assert other.task_id == given.task_id
            await puts(channel, application, replace(Parcel.of(given), copy="next", attempt=1))
            await until_waiting(engine, 0)
            assert await consumer.acknowledge(other)
            accepted(await engine.accept([last]))
            assert await finished(consumer, 1) == {last.task_id}
            await consumer.stop()
            assert (engine.counts().waiting, engine.counts().dead) == (0, 1)
