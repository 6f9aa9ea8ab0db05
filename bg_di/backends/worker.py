"""The worker: takes deliveries from an engine, has them run, and tells the engine what became of each."""

import asyncio
from collections.abc import Mapping, Sequence
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Final

from bg_di import log
from bg_di.backend import Backend, Consumer, Delivery
from bg_di.backends.delivery import Dead, DeliveryTasks, Verdict
from bg_di.errors import BackendUnavailable, MessageMalformed, MessageVersionUnknown
from bg_di.listed import ListedTask
from bg_di.plan import Plan
from bg_di.runner import Runner
from bg_di.steps import in_words
from bg_di.trace import continue_trace
from bg_di.wire import Envelope

# Seconds between two tries to reach an engine that does not answer.
_PAUSE: Final = 0.5


class Worker:
    """Works for one application on one engine, in the running event loop.

    Args:
        runner: of the application.
        name: of the engine.
        tasks: what it may run, by name.
        carried: the context variables that travel.
    """

    def __init__(
        self, runner: Runner, name: str, tasks: Mapping[str, ListedTask], carried: Sequence[ContextVar[Any]]
    ) -> None:
        self._runner = runner
        self._name = name
        self._backend: Backend = runner.engines.backends[name]
        self._tasks = tasks
        self._carried = {variable.name: variable for variable in carried}
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._consumer: Consumer | None = None
        self._receiving: asyncio.Task[None] | None = None
        self._is_away = False

    async def start(self) -> None:
        """Begin to take deliveries.

        Raises:
            BackendUnavailable: the engine cannot be reached.
        """
        engine = self._runner.engines.of(self._name)
        self._consumer = consumer = await engine.consume(list(self._tasks), lost=partial(log.dead, self._name))
        self._receiving = asyncio.create_task(self._receive(consumer), context=Context())

    async def stop(self, grace: float) -> None:
        """Take no more, wait `grace` seconds for what runs, and give the rest back as if it had not been delivered."""
        if self._consumer is None or self._receiving is None:
            return
        self._receiving.cancel()
        await asyncio.wait([self._receiving])
        if self._running:
            await asyncio.wait(self._running, timeout=grace)
        for task, delivery in self._running.items():
            log.given_back(self._name, delivery.name, delivery.task_id, grace)
            task.cancel()
        if self._running:
            await asyncio.wait(self._running)
        await self._consumer.stop()

    async def _receive(self, consumer: Consumer) -> None:
        while True:
            free = self._backend.concurrency - len(self._running)
            if not free:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                continue
            deliveries = await self._insist(partial(consumer.receive, free))
            for delivery in deliveries:
                # Each in variables of its own: those of whoever has started the worker are nobody's here.
                task = asyncio.create_task(self._deliver(consumer, delivery), context=Context())
                self._running[task] = delivery
                task.add_done_callback(self._running.pop)

    async def _deliver(self, consumer: Consumer, delivery: Delivery) -> None:
        try:
            verdict = await self._run(delivery)
        except asyncio.CancelledError:
            await consumer.release(delivery)
            raise
        except Exception as error:  # noqa: BLE001  # of our own making: it is not to be tried for ever
            log.worker_failed(self._name, delivery.name, delivery.task_id, error)
            verdict = Dead(delivery.attempt, in_words(error))
        if not await self._insist(partial(verdict.settle, consumer, delivery)):
            log.delivery_lost(self._name, delivery.name, delivery.task_id)

    async def _run(self, delivery: Delivery) -> Verdict:
        tasks = DeliveryTasks(self._runner, self._name)
        try:
            plan = self._plan(delivery, tasks)
        except (MessageMalformed, MessageVersionUnknown) as error:
            log.dead(self._name, delivery.task_id, delivery.name, str(error))
            return Dead(delivery.attempt, str(error))
        with self._runner.ledger.open(tasks):
            return await tasks.run(plan, delivery.attempt + 1)

    def _plan(self, delivery: Delivery, tasks: DeliveryTasks) -> Plan:
        envelope = Envelope.from_bytes(delivery.body, max_bytes=self._backend.max_message_bytes)
        if (envelope.task_id, envelope.name) != (delivery.task_id, delivery.name):
            raise MessageMalformed("it is the message of another task")
        task = self._tasks[delivery.name]
        args, kwargs = task.format.decode(envelope.arguments)
        for name in envelope.carried.keys() & self._carried.keys():
            self._carried[name].set(envelope.carried[name])
        continue_trace(envelope.trace)
        return self._runner.attempts.plan_delivered(tasks, task, args, kwargs, envelope, delivery.delivery)

    async def _insist(self, ask: Any) -> Any:
        """Ask the engine until it answers. That it does not is said once."""
        while True:
            try:
                answer = await ask()
            except BackendUnavailable as error:
                if not self._is_away:
                    log.engine_away(self._name, error)
                self._is_away = True
                await asyncio.sleep(_PAUSE)
            else:
                if self._is_away:
                    log.engine_back(self._name)
                self._is_away = False
                return answer
