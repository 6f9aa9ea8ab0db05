"""The outermost frame of a request: its collection begins and ends here."""

from collections.abc import Collection, Sequence
from math import ceil

from starlette.responses import JSONResponse, Response
from starlette.status import HTTP_503_SERVICE_UNAVAILABLE
from starlette.types import ASGIApp, Receive, Scope, Send

from bg_di.calls.task import enter_origin, leave_origin
from bg_di.edge.connection import ConnectionTasks, Overrides
from bg_di.edge.lifespan import WORKERS_ONLY, Lifespan
from bg_di.handing_over.destinations import Destinations
from bg_di.running.runner import Runner
from bg_di.working.worker import Worker


class BackgroundTasksMiddleware:
    """Gives each request and each WebSocket connection a collection of its own, and runs what is left in it.

    Args:
        app: the middleware inside.
        application: the whole, as the requests that it serves name it.
        runner: runs the tasks of this application.
        run_inside: whether tasks run inside the response (``run_after="response"``), where there is one.
        overrides: gives what the container binds instead, where somebody overrides the binding.
        destinations: tell what workers may run.
        retry_after: seconds after which a client may come again, whose tasks no engine has accepted.
        grace_period: seconds that a worker's running tasks have to end.
    """

    def __init__(
        self,
        app: ASGIApp,
        application: object,
        runner: Runner,
        run_inside: bool,
        overrides: Overrides | None,
        destinations: Destinations,
        retry_after: float,
        grace_period: float,
    ) -> None:
        self.app = app
        self.application = application
        self.runner = runner
        self.run_inside = run_inside
        self.overrides = overrides
        self._destinations = destinations
        self._grace_period = grace_period
        self._retry_after = str(ceil(retry_after))

    def _workers(self, scope: Scope) -> list[Worker]:
        """The workers that this process is to run: new ones, as each run of the application has its own."""
        if not self._destinations.tasks:
            return []
        only: Collection[str] | None = scope.get(WORKERS_ONLY)
        return [
            Worker(self.runner, name, self._destinations.tasks, self._destinations.carried)
            for name, backend in self.runner.engines.backends.items()
            if (backend.embedded if only is None else name in only)
        ]

    def _without(self, workers: Sequence[Worker]) -> Collection[str]:
        """The engines to which tasks may be handed over, and for which none of these workers works."""
        if not self._destinations.tasks:
            return ()
        return self.runner.engines.backends.keys() - {worker.name for worker in workers}

    def refuse(self) -> Response:
        """What a client gets whose tasks no engine has accepted."""
        body = {"detail": "Service Unavailable", "status_code": HTTP_503_SERVICE_UNAVAILABLE}
        return JSONResponse(body, HTTP_503_SERVICE_UNAVAILABLE, {"Retry-After": self._retry_after})

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" and scope["type"] != "websocket":
            workers = self._workers(scope)
            lifespan = Lifespan(
                self.app, self.runner, workers, self._without(workers), self._grace_period, receive, send
            )
            return await lifespan.run(scope)
        tasks = ConnectionTasks(self, scope, receive, send)
        if self.overrides is not None:
            tasks.substitute = self.overrides.substitute
        token = enter_origin(tasks)
        self.runner.ledger.collections.add(tasks)
        try:
            try:
                app = self.app
                await app(scope, tasks.receive, tasks.send)
            except Exception as error:
                if not await tasks.settled(error):
                    raise
            except BaseException as error:
                tasks.cut_off(error)
                raise
            finally:
                if self.overrides is not None:
                    self.overrides.adopt(tasks, tasks)
                try:
                    if tasks.outgoing is not None:
                        await tasks.is_refused()
                        await tasks.handed_over()  # whoever hears of a failure may add tasks
                finally:
                    if tasks.over():
                        await tasks.drain()
                    if tasks.outgoing is not None:
                        await tasks.handed_over()
        finally:
            leave_origin(token)
