"""What stands in the place of every engine of every application, and runs what these would have run."""

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context
from threading import Lock

from bg_di.backends import Delivery, Message
from bg_di.calls.overlay import covered
from bg_di.errors import BackendUnavailable
from bg_di.handing_over.engines import Engines
from bg_di.running.runner import Runner
from bg_di.testing.clock import VirtualClock
from bg_di.testing.heard import Heard
from bg_di.testing.holding import HoldingEngine
from bg_di.testing.memory import Kept
from bg_di.working.delivery import Again, Dead, Verdict
from bg_di.working.worker import Worker


class StandIns:
    """The engines of all applications, for the length of a test.

    Args:
        clock: of the test.
        heard: hears of what was accepted, and how it ended.
    """

    def __init__(self, clock: VirtualClock, heard: Heard) -> None:
        self._clock = clock
        self._heard = heard
        self._engines: dict[tuple[Engines, str], HoldingEngine] = {}
        self._opening = Lock()
        # What they say instead of accepting.
        self.refusal: BackendUnavailable | None = None

    def engine(self, engines: Engines, name: str) -> HoldingEngine:
        """What stands for the engine of that name of an application."""
        with self._opening:
            key = engines, name
            if key not in self._engines:
                self._engines[key] = HoldingEngine(self._clock, self._heard.accept, self._refused)
            return self._engines[key]

    async def deliver(self, runner: Runner, may_run: Callable[[str], bool]) -> bool:
        """Run what the engines of an application have accepted and is due; return whether there was anything.

        Args:
            runner: of the application.
            may_run: whether the task of that id is to run now.
        """
        has_run = False
        while True:
            found = next(self._due(runner, may_run), None)
            if found is None:
                return has_run
            await self._run(runner, *found)
            has_run = True

    def is_due(self, task_id: str) -> bool:
        """Whether an engine has a task that would run now."""
        return any(kept.message.task_id == task_id for engine in self._all() for kept in engine.waiting())

    def is_delivered(self, task_id: str) -> bool:
        """Whether a task is about to run, or runs."""
        return any(engine.has_delivered(task_id) for engine in self._all())

    async def run(self, task_id: str) -> None:
        """Run a task that an engine has, whenever it is due, with all its attempts."""
        for engines, name in list(self._engines):
            engine = self._engines[engines, name]
            kept = engine.meant(task_id)
            if kept is not None and kept.state == "accepted":
                [runner] = [runner for runner in covered() if runner.engines is engines]
                await self._run(runner, name, engine, kept)

    def _refused(self, message: Message) -> BackendUnavailable | None:
        if self.refusal is not None:
            self._heard.refuse(message, self.refusal)
        return self.refusal

    def _all(self) -> list[HoldingEngine]:
        with self._opening:
            return list(self._engines.values())

    def _due(self, runner: Runner, may_run: Callable[[str], bool]) -> Iterator[tuple[str, HoldingEngine, Kept]]:
        for (engines, name), engine in list(self._engines.items()):
            if engines is runner.engines:
                for kept in engine.waiting():
                    if may_run(kept.message.task_id):
                        yield name, engine, kept

    async def _run(self, runner: Runner, name: str, engine: HoldingEngine, kept: Kept) -> None:
        """Run a task with all its attempts. The waits in between pass on the clock of the test."""
        while (delivery := engine.deliver(kept)) is not None:
            verdict = await self._attempt(runner, name, engine, delivery)
            if isinstance(verdict, Again) and kept.attempt > delivery.attempt:
                self._clock.advance(verdict.delay)
            elif isinstance(verdict, Again):  # it comes back for another reason than an error of its own
                return

    async def _attempt(self, runner: Runner, name: str, engine: HoldingEngine, delivery: Delivery) -> Verdict:
        destinations = runner.planner.destinations
        consumer = await engine.consume((), lost=_nobody)
        worker = Worker(runner, name, destinations.tasks, destinations.carried)
        try:
            # In variables of its own, as in a worker.
            verdict = await asyncio.create_task(worker.perform(delivery), context=Context())
        except BaseException:
            await consumer.release(delivery)
            raise
        await verdict.settle(consumer, delivery)
        self._tell(delivery, verdict)
        return verdict

    def _tell(self, delivery: Delivery, verdict: Verdict) -> None:
        task = self._heard.of(delivery.task_id)
        _, error, _ = task.peek()
        if isinstance(verdict, Dead):
            self._heard.stands(task, "dead", error=error, reason=verdict.reason)
        elif isinstance(verdict, Again):
            self._heard.stands(task, "accepted", error=error, reason=verdict.reason)
        else:
            self._heard.stands(task, "succeeded")


def _nobody(task_id: str, name: str, reason: str) -> None: ...
