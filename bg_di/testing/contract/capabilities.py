"""What a backend promises that claims a capability."""

import asyncio
import time

from bg_di.backends import Accepted, Backend
from bg_di.testing.contract.handles import NAME, SOON, accepted, finished, message, opened, received, state, working
from bg_di.testing.contract.promise import promise


class Capabilities:
    """The tests of it."""

    @promise("delay")
    async def test_what_is_delayed_is_not_delivered_before(self, backend: Backend) -> None:
        """Others are."""
        now = time.time()
        later, first = message(due_at=now + 3 * SOON), message()
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([later, first])
            (delivery,) = await received(consumer)
            assert delivery.task_id == first.task_id
            (delivery,) = await received(consumer)
            assert time.time() >= later.due_at
            assert delivery.task_id == later.task_id

    @promise("idempotent")
    async def test_the_same_task_twice_is_one(self, backend: Backend) -> None:
        """Whoever does not know whether it was taken may ask again."""
        first, last = message(), message()
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([first])
            again, _ = await engine.accept([first, last])
            assert again == Accepted(task_id=first.task_id, is_new=False)
            assert await finished(consumer, 2) == {first.task_id, last.task_id}

    @promise("unique_key")
    async def test_a_key_is_one_tasks_until_its_time(self, backend: Backend) -> None:
        """Also when that has succeeded; names and keys are told apart, and nobody else's application."""
        until = time.time() + 3600
        first, second = (message(unique_key="k", unique_until=until) for _ in range(2))
        elsewhere = [
            message(name="contract:other", unique_key="k", unique_until=until),
            message(unique_key="l", unique_until=until),
            message(),
        ]
        async with opened(backend) as engine, opened(backend, "other") as other, working(engine) as consumer:
            assert await engine.accept([first]) == [Accepted(task_id=first.task_id, is_new=True)]
            stands = Accepted(task_id=first.task_id, is_new=False)
            assert await engine.accept([second]) == [stands]
            assert await finished(consumer, 1) == {first.task_id}
            third = message(unique_key="k", unique_until=until)
            assert await engine.accept([third]) == [stands]
            assert all(each.is_new for each in accepted(await engine.accept(elsewhere)))
            assert all(each.is_new for each in accepted(await other.accept([third])))

    @promise("unique_key")
    async def test_a_key_that_has_run_out_or_whose_task_is_dead_is_free(self, backend: Backend) -> None:
        """Nothing will come of what holds it. As long as that waits and runs, no time runs out."""
        until = time.time() + 3600
        past = message(unique_key="past", unique_until=time.time() - 1)
        dead = message(unique_key="dead", unique_until=until)
        again = [message(unique_key=key, unique_until=until) for key in ("past", "dead")]
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([past, dead])
            assert not any(each.is_new for each in accepted(await engine.accept(again)))
            deliveries = await received(consumer, 2)
            assert not any(each.is_new for each in accepted(await engine.accept(again)))
            for delivery in deliveries:
                if delivery.task_id == past.task_id:
                    assert await consumer.acknowledge(delivery)
                else:
                    assert await consumer.bury(delivery, attempt=1, reason="no")
            anew = [message(unique_key=key, unique_until=until) for key in ("past", "dead")]
            assert all(each.is_new for each in accepted(await engine.accept(anew)))

    @promise("unique_key", "listing")
    async def test_what_another_task_stands_for_can_be_asked_for(self, backend: Backend) -> None:
        """Somebody may have been told its id."""
        until = time.time() + 3600
        first, second = (message(unique_key="k", unique_until=until) for _ in range(2))
        async with opened(backend) as engine:
            await engine.accept([first, second])
            assert engine.show(second.task_id) == engine.show(first.task_id) is not None

    @promise("cancel")
    async def test_what_waits_can_be_cancelled(self, backend: Backend) -> None:
        """From any thread; what runs cannot, nor what is not there."""
        waits, runs = message(), message()
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([waits])
            assert await asyncio.to_thread(engine.cancel, waits.task_id)
            assert not engine.cancel(waits.task_id)
            await engine.accept([runs])
            (delivery,) = await received(consumer)
            assert delivery.task_id == runs.task_id
            assert not engine.cancel(runs.task_id)
            assert not engine.cancel("unheard of")

    @promise("listing")
    async def test_it_can_be_told_how_a_task_stands(self, backend: Backend) -> None:
        """From when it is accepted to its end, from any thread; what has not been accepted is not known."""
        given = message()
        async with opened(backend) as engine, working(engine) as consumer:
            assert engine.show(given.task_id) is None
            await engine.accept([given])
            entry = await asyncio.to_thread(engine.show, given.task_id)
            assert entry is not None
            assert (entry.task_id, entry.name, entry.state) == (given.task_id, NAME, "accepted")
            (delivery,) = await received(consumer)
            assert state(engine, given) == "running"
            assert await consumer.acknowledge(delivery)
            assert state(engine, given) == "succeeded"

    @promise("listing")
    async def test_what_is_dead_keeps_its_reason(self, backend: Backend) -> None:
        """And the number of its attempts."""
        given = message()
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([given])
            (delivery,) = await received(consumer)
            assert await consumer.bury(delivery, attempt=3, reason="ValueError: no")
            entry = engine.show(given.task_id)
            assert entry is not None
            assert (entry.state, entry.attempt, entry.reason) == ("dead", 3, "ValueError: no")

    @promise("dead")
    async def test_what_is_dead_can_be_put_back(self, backend: Backend) -> None:
        """As if it had just been accepted, by any thread; what is not dead cannot, nor what is somebody else's."""
        given = [message() for _ in range(3)]
        first, second, waits = (each.task_id for each in given)
        async with opened(backend) as engine, opened(backend, "other") as other, working(engine) as consumer:
            await engine.accept(given[:2])
            for delivery in await received(consumer, 2):
                assert await consumer.bury(delivery, attempt=3, reason="no")
            await engine.accept([message(task_id=waits, due_at=time.time() + 3600)])
            assert list(other.retry()) == []
            assert list(await asyncio.to_thread(engine.retry, [first, waits, "unheard of"])) == [first]
            (delivery,) = await received(consumer)
            assert (delivery.task_id, delivery.attempt, delivery.delivery) == (first, 0, 1)
            assert delivery.added_at > given[0].added_at
            assert list(await asyncio.to_thread(engine.retry)) == [second]
            (delivery,) = await received(consumer)
            assert (delivery.task_id, delivery.attempt, delivery.delivery) == (second, 0, 1)

    @promise("dead")
    async def test_what_is_dead_can_be_forgotten(self, backend: Backend) -> None:
        """What died before; never what is not dead."""
        dies, waits = message(), message(due_at=time.time() + 3600)
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([dies, waits])
            (delivery,) = await received(consumer)
            assert await consumer.bury(delivery, attempt=1, reason="no")
            assert engine.prune(before=dies.added_at, dead=True) == 0
            assert await asyncio.to_thread(lambda: engine.prune(before=time.time() + 60, dead=True)) == 1
            assert list(engine.retry()) == []

    @promise("listing")
    async def test_tasks_are_listed(self, backend: Backend) -> None:
        """The last ones first; those of one's own application only."""
        given = [message(added_at=time.time() - 60, due_at=time.time() - 60) for _ in range(3)]
        async with opened(backend) as engine, opened(backend, "other") as other, working(engine) as consumer:
            for each in given:
                await engine.accept([each])
            assert [entry.task_id for entry in engine.entries(limit=2)] == [given[2].task_id, given[1].task_id]
            (first,) = await consumer.receive(1)
            (second,) = await consumer.receive(1)
            assert await consumer.bury(first, attempt=1, reason="no")
            assert [entry.task_id for entry in engine.entries("dead", limit=9)] == [first.task_id]
            assert [entry.task_id for entry in engine.entries("running", limit=9)] == [second.task_id]
            assert list(other.entries(limit=9)) == []

    @promise("counts")
    async def test_tasks_are_counted(self, backend: Backend) -> None:
        """From any thread; those of one's own application only. What an engine cannot tell, it does not."""
        past = time.time() - 60
        given = [message(added_at=past, due_at=past), message(), message(due_at=time.time() + 3600)]
        async with opened(backend) as engine, opened(backend, "other") as other:
            accepted(await engine.accept(given))
            counts = await asyncio.to_thread(engine.counts)
            assert (counts.waiting, counts.dead) == (3, 0)
            assert counts.running in {0, None}
            assert counts.oldest is None or counts.oldest >= 60
            async with working(engine) as consumer:
                (first,) = await consumer.receive(1)
                assert await consumer.bury(first, attempt=1, reason="no")
                (second,) = await consumer.receive(1)
                assert engine.counts().running in {1, None}
                assert await consumer.release(second)
            counts = engine.counts()
            assert (counts.waiting, counts.dead) == (2, 1)
            counts = other.counts()
            assert (counts.waiting, counts.dead) == (0, 0)
            assert counts.oldest in {0, None}

    @promise("listing", "dead")
    async def test_what_is_done_can_be_forgotten(self, backend: Backend) -> None:
        """What is dead only if asked for, and what waits never."""
        done, dead, waits = message(), message(), message()
        async with opened(backend) as engine, working(engine) as consumer:
            await engine.accept([done])
            assert await finished(consumer, 1)
            await engine.accept([dead])
            (delivery,) = await received(consumer)
            assert await consumer.bury(delivery, attempt=1, reason="no")
            await consumer.stop()
            await engine.accept([waits])
            assert engine.prune(before=done.added_at) == 0
            later = time.time() + 60
            assert engine.prune(before=later) == 1
            assert [state(engine, each) for each in (done, dead, waits)] == [None, "dead", "accepted"]
            assert await asyncio.to_thread(lambda: engine.prune(before=later, dead=True)) == 1
            assert [state(engine, each) for each in (dead, waits)] == [None, "accepted"]
