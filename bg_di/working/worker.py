"""The worker: takes deliveries from an engine, has them run, and tells the engine what became of each."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextvars import Context, ContextVar
from functools import partial
from typing import Any, Final, TypeVar

from bg_di import log
from bg_di.backends import Backend, Consumer, Delivery
from bg_di.errors import MessageMalformed, MessageVersionUnknown
from bg_di.handing_over.listed import ListedTask
from bg_di.running.runner import Runner
from bg_di.wire import VERSION
from bg_di.working.arrival import Arrivals, NotUnderstood
from bg_di.working.delivery import Again, Dead, DeliveryTasks, Verdict, reason_of

# Seconds between two tries to reach an engine that does not answer.
_PAUSE: Final = 0.5
# Seconds that running tasks have to end when they are cut off. What one of them cleans up is given less.
_CUT_OFF_TIMEOUT: Final = 15.0
# Seconds until somebody else may look at what this worker does not understand: at least, and at most.
_SHORTEST_WAIT: Final = 0.5
_LONGEST_WAIT: Final = 60.0

T = TypeVar("T")


class Worker:
    """Works for one application on one engine, in the running event loop.

    Args:
        runner: of the application.
        name: of the engine.
        tasks: what it may run, by name.
        carried: the context variables that travel.

    Attributes:
        name: as given.
    """

    _consumer: Consumer
    _receiving: "asyncio.Task[None]"

    def __init__(
        self, runner: Runner, name: str, tasks: Mapping[str, ListedTask], carried: Sequence[ContextVar[Any]]
    ) -> None:
        self._runner = runner
        self.name = name
        self._backend: Backend = runner.engines.backends[name]
        self._tasks = tasks
        self._arrivals = Arrivals(runner.planner.container, self._backend, tasks, carried)
        self._running: dict[asyncio.Task[None], Delivery] = {}
        self._is_away = self._cuts_off = False

    async def start(self) -> None:
        """Begin to take deliveries.

        Raises:
            BackendUnavailable: the engine cannot be reached.
        """
        engine = self._runner.engines.of(self.name)
        self._consumer = await engine.consume(list(self._tasks), version=VERSION, lost=partial(log.dead, self.name))
        self._receiving = asyncio.create_task(self._receive(), context=Context())

    async def stop(self, grace: float) -> None:
        """Take no more, wait `grace` seconds for what runs, and give the rest back as if it had not been delivered.

        Who is cancelled meanwhile waits no longer. That the engine does not answer is logged.
        """
        self._receiving.cancel()
        resting = asyncio.create_task(self._told(self._consumer.rest))
        try:
            await asyncio.wait([self._receiving])
            await self._ended(grace)
        finally:
            self._cuts_off = True
            for task in self._running:
                task.cancel()
            await self._ended(_CUT_OFF_TIMEOUT)
            for delivery in self._running.values():
                log.runs_on(self.name, delivery.name, delivery.task_id)
            await asyncio.wait([resting])
            await self._told(self._consumer.stop)

    async def _told(self, tell: Callable[[], Awaitable[None]]) -> None:
        try:
            await tell()
        except Exception as error:  # noqa: BLE001  # whatever it is, the application is to end in order
            log.worker_not_stopped(self.name, error)

    async def _ended(self, seconds: float) -> None:
        if self._running:
            await asyncio.wait(self._running, timeout=seconds)

    async def _receive(self) -> None:
        while True:
            free = self._backend.concurrency - len(self._running)
            if not free:
                await asyncio.wait(self._running, return_when=asyncio.FIRST_COMPLETED)
                continue
            deliveries = await self._insist(partial(self._consumer.receive, free))
            if not deliveries:  # it has been stopped, and would say so for ever
                return
            for delivery in deliveries:
                # Each in variables of its own: those of whoever has started the worker are nobody's here.
                task = asyncio.create_task(self._deliver(delivery), context=Context())
                self._running[task] = delivery
                task.add_done_callback(self._running.pop)

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            verdict = await self.perform(delivery)
            if not await self._insist(partial(verdict.settle, self._consumer, delivery)):
                log.delivery_lost(self.name, delivery.name, delivery.task_id)
        except asyncio.CancelledError:
            log.given_back(self.name, delivery.name, delivery.task_id)
            raise

    async def perform(self, delivery: Delivery) -> Verdict:
        """Make the attempt that a delivery asks for, and run or hand over what it adds; return what becomes of it."""
        tasks = DeliveryTasks(self._runner, self.name, lambda: self._cuts_off)
        try:
            return await tasks.run(self._arrivals.plan(delivery, tasks), delivery.attempt + 1)
        except NotUnderstood as error:
            log.not_understood(self.name, delivery.name, delivery.task_id, error)
            # Longer each time, so that it costs little until it is understood.
            wait = min(max(error.waited, _SHORTEST_WAIT), _LONGEST_WAIT)
            return Again(wait, delivery.attempt, str(error))
        except (MessageMalformed, MessageVersionUnknown) as error:
            log.dead(self.name, delivery.task_id, delivery.name, str(error))
            return Dead(delivery.attempt, str(error))
        except Exception as error:  # noqa: BLE001  # of our own making: it is not to be tried for ever
            log.worker_failed(self.name, delivery.name, delivery.task_id, error)
            return Dead(delivery.attempt, reason_of(error))

    async def _insist(self, ask: Callable[[], Awaitable[T]]) -> T:
        """Ask the engine until it answers. That it does not is said once."""
        while True:
            try:
                answer = await ask()
            except Exception as error:  # noqa: BLE001  # whatever an engine raises, its tasks are not to be forgotten
                if not self._is_away:
                    log.engine_away(self.name, error)
                self._is_away = True
                await asyncio.sleep(_PAUSE)
            else:
                if self._is_away:
                    log.engine_back(self.name)
                self._is_away = False
                return answer
