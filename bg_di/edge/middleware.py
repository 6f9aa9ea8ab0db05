"""The outermost frame of a request: its collection begins and ends here."""

from collections import deque
from typing import Protocol

import anyio
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from bg_di.collection import RequestBackgroundTasks
from bg_di.edge.own_background import reported_as_background
from bg_di.runner import Runner
from bg_di.task import Origin, current_origin


class Overrides(Protocol):
    """What the middleware asks of an application in which somebody overrides the collection."""

    def substitute(self, key: type[StarletteBackgroundTasks]) -> StarletteBackgroundTasks: ...

    def adopt(self, origin: Origin, collection: RequestBackgroundTasks) -> None: ...


class ConnectionTasks(RequestBackgroundTasks):
    """The collection of one connection, with what its outermost frame sees of the response.

    The tasks run when three things have come together: no route is running, its response is complete, and the
    last byte has been handed to the server. Which of them comes last depends on the middleware in between.

    Args:
        runner, scope: as of the collection.
        send: the server's ``send``.

    Attributes:
        routes: how many routes run in it right now.
        answered: whether a route has made a response that the tasks may run inside of.
        left: whether the client has gone, as a server of ASGI 2.4 says by an `OSError` from ``send``.
    """

    routes = 0
    answered = left = False
    _sent = _trailers = False

    def __init__(self, runner: Runner, scope: Scope, send: Send) -> None:
        self.waiting = deque()
        self._runner = runner
        self._scope = scope
        self._send = send

    async def send(self, message: Message) -> None:
        """ASGI's ``send``: whoever hands over the last byte of a response that waits for it runs the tasks."""
        try:
            await self._send(message)
        except OSError:
            self.left = True
            raise
        kind = message["type"]
        if kind == "http.response.start":
            if "trailers" in message:
                self._trailers = message["trailers"]
        elif not message.get("more_body") and self._is_last(message, kind):
            self._sent = True
            if self.waiting and self.is_due():
                # The sender may be told to stop as soon as the client has everything (a StreamingResponse
                # listens for that), the tasks may not.
                with anyio.CancelScope(shield=True):
                    await self.drain()

    def _is_last(self, message: Message, kind: str) -> bool:
        if self._trailers:
            return kind == "http.response.trailers" and not message.get("more_trailers")
        return kind in ("http.response.body", "http.response.pathsend")

    def excuses(self, error: BaseException) -> bool:
        """Whether an exception only says that the client has gone, which is no failure."""
        return self.left or isinstance(error, ClientDisconnect | WebSocketDisconnect)

    def is_due(self) -> bool:
        """Whether the tasks are to be drained now."""
        return not self.routes and (self._ending or (self.answered and self._sent))


class BackgroundTasksMiddleware:
    """Gives each request and each WebSocket connection a collection of its own, and runs what is left in it.

    Args:
        app: the application inside.
        runner: runs the tasks of this application.
        overrides: gives what the container binds instead, where somebody overrides the binding.
    """

    def __init__(self, app: ASGIApp, runner: Runner, overrides: Overrides | None) -> None:
        self._app = app
        self._runner = runner
        self._overrides = overrides

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" and scope["type"] != "websocket":
            return await self._app(scope, receive, send)
        tasks = ConnectionTasks(self._runner, scope, send)
        if self._overrides is not None:
            tasks.substitute = self._overrides.substitute
        token = current_origin.set(tasks)
        try:
            try:
                await self._app(scope, receive, tasks.send)
            except Exception as error:
                if not await reported_as_background(error, tasks, self._runner):
                    raise
            except BaseException:
                tasks.abandon()
                raise
            finally:
                if self._overrides is not None:
                    self._overrides.adopt(tasks, tasks)
                if tasks.end() and tasks.is_due():
                    await tasks.drain()
        finally:
            current_origin.reset(token)
