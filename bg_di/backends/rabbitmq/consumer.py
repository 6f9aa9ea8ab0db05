"""A worker's side of a broker: deliveries that are acknowledged when what comes after them is safe."""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Collection, Coroutine, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final, cast
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage

from bg_di import log
from bg_di.backends.backend import Consumer
from bg_di.backends.messages import Delivery
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.failures import FAILURES, unless_cancelled
from bg_di.backends.rabbitmq.in_hand import Held, InHand
from bg_di.backends.rabbitmq.judge import Judge, Move
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.backends.rabbitmq.publisher import Publisher
from bg_di.backends.rabbitmq.queues import Queues
from bg_di.backends.rabbitmq.subscription import Subscription
from bg_di.backends.rabbitmq.terms import PAUSE, Terms
from bg_di.errors import BackendUnavailable, MessageMalformed

Lost = Callable[[str, str, str], None]

# Seconds after which a broker has sent what an acknowledgement has made it choose.
_QUIET: Final = 0.1


class RabbitConsumer(Consumer):
    """Takes tasks from a broker.

    What comes again while its task is in hand is settled with it, and what comes again after it has ended is
    acknowledged: a connection that breaks makes no task run twice in one process.

    Args:
        publisher: by which tasks go back, on, and to the dead ones.
        names, version: what the worker knows.
        lost: as `Engine.consume` has it.

    Attributes:
        has_stopped: whether it takes no more.
    """

    def __init__(
        self,
        dial: Dial,
        queues: Queues,
        terms: Terms,
        publisher: Publisher,
        *,
        names: Collection[str],
        version: int,
        lost: Lost,
    ) -> None:
        self._address = dial.address
        self._queues = queues
        self._publisher = publisher
        self._patience = terms.publish_timeout
        self._judge = Judge(queues, terms, names=names, version=version)
        self._lost = lost
        self._in_hand = InHand()
        self._subscription = Subscription(dial, queues, terms, self._take, self._in_hand.orphan)
        self._ready: deque[Held] = deque()
        self._more = asyncio.Event()
        self._moving: set[asyncio.Task[None]] = set()
        self._may_acknowledge = asyncio.Event()
        self._may_acknowledge.set()
        self._acknowledged_at = 0.0
        self.has_stopped = False

    async def open(self) -> None:
        """Begin.

        Raises:
            BackendUnavailable: the broker cannot be used.
        """
        await self._subscription.open()

    async def receive(self, slots: int) -> Sequence[Delivery]:
        """Wait for deliveries, also while the broker is away, and take at most `slots`; none only after `stop`."""
        while not self.has_stopped:
            deliveries: list[Delivery] = []
            while self._ready and len(deliveries) < slots:
                held = self._ready.popleft()
                if held.is_alive:
                    deliveries.append(held.delivery)
                else:
                    self._lose(held)
            if deliveries:
                return deliveries
            self._more.clear()
            await self._more.wait()
        return ()

    async def acknowledge(self, delivery: Delivery) -> bool:
        """It has succeeded."""
        held = self._in_hand.of(delivery)
        if held is None:
            return False
        held.messages += held.others
        held.others.clear()
        return await self._end(held)

    async def reschedule(self, delivery: Delivery, *, delay: float, attempt: int, reason: str) -> bool:
        """Run it again after `delay` seconds; `attempt` have been made. Its deliveries are counted anew."""
        due_at = time.time() + delay
        queue = self._queues.until(due_at)
        return await self._replace(
            delivery,
            lambda parcel: Move(
                queue,
                replace(parcel, due_at=due_at, attempt=attempt, deliveries=0, unknown_since=None, reason=reason),
            ),
        )

    async def release(self, delivery: Delivery) -> bool:
        """It has not been run to its end, and goes back, behind what waits, as if it had not been delivered."""
        return await self._replace(delivery, lambda parcel: Move(self._queues.tasks, parcel))

    async def bury(self, delivery: Delivery, *, attempt: int, reason: str) -> bool:
        """Keep it with the reason, and do not run it again by itself; `attempt` have been made."""
        return await self._replace(
            delivery, lambda parcel: Move(self._queues.dead, parcel.died(reason=reason, attempt=attempt))
        )

    async def rest(self) -> None:
        """Get no more from the broker. What it has sent ahead goes back."""
        # Each acknowledgement makes the broker choose a message for us. If it is told meanwhile that we want none, that
        # one goes back as delivered, and it does not tell when it has come to know of either.
        self._may_acknowledge.clear()
        try:
            await asyncio.sleep(self._acknowledged_at + _QUIET - time.monotonic())
            await self._subscription.end()
        finally:
            self._may_acknowledge.set()
        ahead, self._ready = self._ready, deque()
        await asyncio.gather(*map(self._give_back, ahead))

    async def stop(self) -> None:
        """Take no more. Whatever is still in hand goes back as if it had not been delivered.

        Where the broker cannot be used, it goes back as from a worker that has died: one delivery is counted.
        """
        if self.has_stopped:
            return
        self.has_stopped = True
        self._more.set()
        try:
            await self.rest()
            if self._moving:
                await asyncio.wait(self._moving, timeout=self._patience)
            await asyncio.gather(*(self._give_back(held) for held in self._in_hand.all()))
        finally:
            for task in self._moving:
                task.cancel()
            await self._subscription.close()

    def abandon(self) -> None:
        """The same, where the event loop is closed, and its connections with it."""
        self.has_stopped = True

    async def _give_back(self, held: Held) -> None:
        with suppress(BackendUnavailable):
            await self.release(held.delivery)

    def _take(self, message: AbstractIncomingMessage) -> None:
        try:
            parcel = Parcel.unpacked(message)
        except MessageMalformed as malformed:
            self._start(self._bury_malformed(message, malformed))
            return
        if self._in_hand.has_ended(parcel):
            self._start(_acknowledged_alone(message))
        elif held := self._in_hand.take(parcel, message):
            move = self._judge.move(held)
            if move is None:
                self._ready.append(held)
                self._more.set()
            else:
                self._start(self._pass_on(held, move))

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._moving.add(task)
        task.add_done_callback(self._moving.discard)

    async def _pass_on(self, held: Held, move: Move) -> None:
        """Put a task elsewhere that is not to be run here now; insist until it is there, or was lost."""
        said = False
        while held.is_alive:
            try:
                await self._publisher.publish(move.queue, move.parcel)
            except Exception as error:  # noqa: BLE001  # whatever it is, the task is not to stay in hand for ever
                if not said:
                    log.not_passed_on(held.parcel.name, held.parcel.task_id, error)
                said = True
                await asyncio.sleep(PAUSE)
            else:
                await self._end(held)
                if move.lost is not None:
                    self._lost(held.parcel.task_id, held.parcel.name, move.lost)
                return
        self._lose(held)

    async def _bury_malformed(self, message: AbstractIncomingMessage, malformed: MessageMalformed) -> None:
        """What is nobody's task is one without a name: it is kept with its bytes."""
        now = time.time()
        reason = f"it is no message of bg_di: {malformed}"
        parcel = Parcel(task_id=uuid4().hex, name="", version=0, body=message.body, added_at=now, due_at=now)
        held = cast(Held, self._in_hand.take(parcel, message))
        await self._pass_on(held, Move(self._queues.dead, held.successor.died(reason=reason), lost=reason))

    async def _replace(self, delivery: Delivery, move_of: Callable[[Parcel], Move]) -> bool:
        """Put what comes after a delivery in its place: first that is there, and then it is acknowledged."""
        held = self._in_hand.of(delivery)
        if held is None:
            return False
        if not held.is_alive:
            self._lose(held)
            return False
        move = move_of(held.successor)
        await self._publisher.publish(move.queue, move.parcel)
        return await self._end(held)

    async def _end(self, held: Held) -> bool:
        messages = self._in_hand.end(held)
        self._take_others(held)
        try:
            await self._may_acknowledge.wait()
        except asyncio.CancelledError:  # it has ended all the same, and is not to go back
            await self._tell(messages)
            raise
        return await self._tell(messages) or held.is_orphan

    async def _tell(self, messages: Sequence[AbstractIncomingMessage]) -> bool:
        """Acknowledge them; whether the broker could be told of any."""
        self._acknowledged_at = time.monotonic()
        heard = [await _acknowledged(message) for message in messages]
        return any(heard)

    def _lose(self, held: Held) -> None:
        self._in_hand.lose(held)
        self._take_others(held)

    def _take_others(self, held: Held) -> None:
        for _, message in held.others:
            self._take(message)


async def _acknowledged(message: AbstractIncomingMessage) -> bool:
    """Whether the broker could be told. It answers nothing, and may not hear it."""
    try:
        await message.ack()
    except FAILURES as error:
        unless_cancelled(error)
        return False
    return True


async def _acknowledged_alone(message: AbstractIncomingMessage) -> None:
    await _acknowledged(message)
