"""What every backend promises: what is accepted is delivered until a worker says what became of it."""

import asyncio
import time
from collections import Counter

from bg_di.backends import Accepted, Backend, Delivery
from bg_di.testing.contract.handles import (
    NAME,
    SOON,
    accept_in_turn,
    finished,
    finished_by,
    ids,
    message,
    opened,
    received,
    working,
)
from bg_di.testing.contract.promise import promise


class Deliveries:
    """The tests of it."""

    @promise()
    async def test_a_task_goes_in_and_comes_out_as_it_was(self, backend: Backend) -> None:
        """Its bytes too, whatever they are."""
        given = message(body=bytes(range(256)) * 10)
        async with opened(backend) as engine, working(engine) as consumer:
            assert await engine.accept([given]) == [Accepted(task_id=given.task_id, is_new=True)]
            (delivery,) = await received(consumer)
            assert (delivery.task_id, delivery.name, delivery.body) == (given.task_id, NAME, given.body)
            assert (delivery.version, delivery.attempt, delivery.delivery) == (1, 0, 1)
            assert (delivery.added_at, delivery.due_at) == (given.added_at, given.due_at)
            assert await consumer.acknowledge(delivery)

    @promise()
    async def test_nothing_is_accepted_of_nothing(self, backend: Backend) -> None:
        """A request may have no task for the engine."""
        async with opened(backend) as engine:
            assert list(await engine.accept([])) == []

    @promise()
    async def test_what_was_accepted_survives_its_application(self, backend: Backend) -> None:
        """It is there when the application is opened anew, also if nobody was told to close it."""
        given = [message() for _ in range(3)]
        async with opened(backend) as engine:
            await engine.accept(given[:2])
        abandoned = backend.open("shop")
        await abandoned.accept(given[2:])
        abandoned.abandon()
        async with opened(backend) as engine, working(engine) as consumer:
            assert await finished(consumer, 3) == ids(given)

    @promise()
    async def test_a_worker_gets_no_more_than_it_has_slots_for(self, backend: Backend) -> None:
        """What it has not ended counts for it, not for the engine."""
        given = [message() for _ in range(5)]
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept(given)
            deliveries: list[Delivery] = []
            while len(deliveries) < len(given):
                some = await consumer.receive(2)
                assert 1 <= len(some) <= 2
                deliveries += some
            assert ids(deliveries) == ids(given)

    @promise()
    async def test_a_worker_is_given_what_comes_while_it_waits(self, backend: Backend) -> None:
        """From its own process and from others."""
        async with opened(backend) as engine, opened(backend) as other, working(engine) as consumer:
            for accepting in (engine, other):
                waiting = asyncio.create_task(received(consumer))
                await asyncio.sleep(0)
                given = message()
                await accepting.accept([given])
                (delivery,) = await waiting
                assert delivery.task_id == given.task_id
                assert await consumer.acknowledge(delivery)

    @promise()
    async def test_what_a_worker_has_when_it_stops_goes_back_as_if_it_had_not_been_delivered(
        self, backend: Backend
    ) -> None:
        """Another one gets it, and the first one's word about it does not count any more."""
        async with opened(backend) as engine, opened(backend) as other:
            await engine.accept([message()])
            async with working(engine) as consumer:
                (late,) = await received(consumer)
            async with working(other) as successor:
                (delivery,) = await received(successor)
                assert (delivery.task_id, delivery.delivery, delivery.attempt) == (late.task_id, 1, 0)
                assert not await consumer.acknowledge(late)
                assert not await consumer.bury(late, attempt=1, reason="late")
                assert await successor.acknowledge(delivery)
                assert not await successor.acknowledge(delivery)

    @promise()
    async def test_a_worker_that_does_not_wait_any_more_has_nothing(self, backend: Backend) -> None:
        """What it was about to be given is there for others when it has stopped, at the latest."""
        async with opened(backend) as engine:
            await engine.accept([message()])
            async with working(engine) as consumer:
                waiting = asyncio.create_task(received(consumer))
                await asyncio.sleep(0)
                waiting.cancel()
                await asyncio.wait([waiting])
            async with working(engine) as successor:
                (delivery,) = await received(successor)
                assert delivery.delivery == 1

    @promise()
    async def test_a_worker_that_stops_is_given_nothing(self, backend: Backend) -> None:
        """Also where it waits at that moment, and where there is something."""
        async with opened(backend) as engine, working(engine) as consumer:
            waiting = asyncio.create_task(consumer.receive(1))
            await asyncio.sleep(0)
            await consumer.stop()
            assert list(await waiting) == []
            await engine.accept([message()])
            assert list(await consumer.receive(1)) == []

    @promise()
    async def test_what_is_released_is_delivered_again_uncounted(self, backend: Backend) -> None:
        """It has not been run to its end."""
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([message()])
            for _ in range(3):
                (delivery,) = await received(consumer)
                assert (delivery.delivery, delivery.attempt) == (1, 0)
                assert await consumer.release(delivery)

    @promise()
    async def test_a_retry_comes_after_its_delay(self, backend: Backend) -> None:
        """With the number of attempts, and its deliveries counted anew; what is due meanwhile runs meanwhile."""
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([message()])
            (first,) = await received(consumer)
            since = time.time()
            assert await consumer.reschedule(first, delay=SOON, attempt=1, reason="OSError: no")
            between = message()
            await engine.accept([between])
            (other,) = await received(consumer)
            assert other.task_id == between.task_id
            (again,) = await received(consumer)
            assert time.time() >= since + SOON
            assert (again.task_id, again.attempt, again.delivery) == (first.task_id, 1, 1)
            assert again.token != first.token
            assert not await consumer.acknowledge(first)
            assert await consumer.acknowledge(again)

    @promise()
    async def test_what_is_buried_is_not_delivered_again(self, backend: Backend) -> None:
        """Not by itself."""
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([message()])
            (delivery,) = await received(consumer)
            assert await consumer.bury(delivery, attempt=1, reason="ValueError: no")
            last = message()
            await engine.accept([last])
            assert await finished(consumer, 1) == {last.task_id}

    @promise()
    async def test_a_worker_is_given_only_what_it_knows(self, backend: Backend) -> None:
        """The others wait for one that knows them, names and versions."""
        unknown, later, known = message(name="contract:unknown"), message(version=2), message()
        async with opened(backend) as engine:
            await engine.accept([unknown, later, known])
            async with working(engine) as consumer:
                assert await finished(consumer, 1) == {known.task_id}
                last = message()
                await engine.accept([last])
                assert await finished(consumer, 1) == {last.task_id}
            async with working(engine, [NAME, unknown.name], version=2) as consumer:
                assert await finished(consumer, 2) == {unknown.task_id, later.task_id}

    @promise()
    async def test_workers_share_the_work_and_applications_do_not(self, backend: Backend) -> None:
        """Each task is delivered once, to one of the workers of its application."""
        mine, others = [message() for _ in range(200)], [message() for _ in range(100)]
        async with (
            opened(backend) as first,
            opened(backend) as second,
            opened(backend, "other") as other,
            working(first) as one,
            working(second) as two,
            working(other) as three,
            asyncio.TaskGroup() as group,
        ):
            for engine, given in ((first, mine[:100]), (second, mine[100:]), (other, others)):
                group.create_task(accept_in_turn(engine, given))
            shared = group.create_task(finished_by([one, two], len(mine)))
            alone = group.create_task(finished_by([three], len(others)))
        assert Counter(shared.result()) == Counter(ids(mine))
        assert Counter(alone.result()) == Counter(ids(others))
