"""The lifespan of an application: workers start when all else has, and stop before anything does."""

import asyncio
from collections.abc import Collection, Sequence
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from bg_di import log
from bg_di.calls.steps import in_words, on_asyncio
from bg_di.errors import BackendIncapable, BackendOccupied, BackendUnavailable
from bg_di.running.runner import Runner
from bg_di.working.worker import Worker

# In the scope of whoever runs an application only for its workers: the names of the engines that they are to work for,
# those included that are not embedded.
WORKERS_ONLY: Final = "bg_di.workers_only"


class Lifespan:
    """One run of an application, from its start-up to its shutdown.

    Args:
        app: what is inside the outermost frame.
        runner: of the application.
        workers: that are to work in this process.
        others: the engines that have none here, and to which tasks may be handed over.
        grace_period: seconds that their running deliveries have to end.
        receive, send: what the server calls it with.
    """

    def __init__(
        self,
        app: ASGIApp,
        runner: Runner,
        workers: Sequence[Worker],
        others: Collection[str],
        grace_period: float,
        receive: Receive,
        send: Send,
    ) -> None:
        self._app = app
        self._runner = runner
        self._workers = workers
        self._others = others
        self._grace_period = grace_period
        self._receive = receive
        self._send = send
        self._started: list[Worker] = []
        self._failure: str | None = None
        self._error: Exception | None = None

    async def run(self, scope: Scope) -> None:
        """Run the application.

        Raises:
            Exception: what has ended the start-up, after the server has heard of it, as Starlette does: a test client
                knows of it by that alone.
        """
        try:
            await self._app(scope, self.receive, self.send)
        except Exception as error:
            if self._failure is None:
                raise
            self._failure += f"; then the application could not shut down: {in_words(error)}"
        finally:
            await self._stop_workers()
            await self._runner.engines.close()
        if self._failure is not None:
            log.not_started(self._failure)  # not every server says why
            await self._send({"type": "lifespan.startup.failed", "message": self._failure})
            assert self._error is not None, "set with it"
            raise self._error

    async def receive(self) -> Message:
        """ASGI's ``receive``: the application hears of the shutdown when its tasks have ended.

        What they use is still there so long. If the workers could not start, what has started ends in its own way,
        before the server hears of it.
        """
        if self._failure is not None:
            return {"type": "lifespan.shutdown"}
        message = await self._receive()
        if message["type"] == "lifespan.shutdown":
            await self._stop_workers()
            await self._runner.finish()
        return message

    async def send(self, message: Message) -> None:
        """ASGI's ``send``: the server hears that the application has started when its workers have, too.

        And that it has ended when its engines are closed: the event loop may end with that.
        """
        if message["type"] == "lifespan.startup.complete":
            await self._start_workers()
        else:
            await self._stop_workers()  # an application that is cancelled says so before anybody else does
            await self._runner.engines.close()
        if self._failure is None:
            await self._send(message)

    async def _start_workers(self) -> None:
        if self._runner.engines.backends and not on_asyncio():
            self._failure = "engines of background tasks work on asyncio only: run the application on it"
            self._error = BackendIncapable(self._failure)
            return
        try:
            for worker in self._workers:
                await worker.start()
                self._started.append(worker)
        except Exception as error:  # noqa: BLE001  # whatever it is, the server is told
            self._failure = f"a worker of background tasks could not start: {in_words(error)}"
            self._error = error
            await self._stop_workers()
            return
        try:
            await self._prepare()
        except Exception as error:  # noqa: BLE001  # likewise
            self._failure = f"background tasks cannot be kept: {in_words(error)}"
            self._error = error
            await self._stop_workers()

    async def _prepare(self) -> None:
        """Make the other engines ready. One that cannot be used now may be when it is needed."""
        for name in self._others:
            try:
                await self._runner.engines.of(name).prepare()
            except BackendOccupied:
                raise
            except BackendUnavailable as error:
                log.engine_not_ready(name, error)

    async def _stop_workers(self) -> None:
        started, self._started = self._started, []
        if started:
            await asyncio.gather(*(worker.stop(self._grace_period) for worker in started))
