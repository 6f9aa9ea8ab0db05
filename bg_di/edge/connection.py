"""The collection of one connection, with what its outermost frame sees of the response."""

from collections import deque
from sys import exception
from typing import Protocol, cast

import anyio
import anyio.lowlevel
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send
from starlette.websockets import WebSocketDisconnect

from bg_di.calls.task import Origin
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.collecting.drain import NOTHING
from bg_di.edge.own_background import failed_background
from bg_di.running.runner import Runner

_ENDS_A_BODY = frozenset({"http.response.body", "http.response.pathsend"})


class Overrides(Protocol):
    """What the frame asks of an application in which somebody overrides the collection."""

    def substitute(self, key: type[StarletteBackgroundTasks]) -> StarletteBackgroundTasks: ...

    def adopt(self, origin: Origin, collection: RequestBackgroundTasks) -> None: ...


class Frame(Protocol):
    """What a connection asks of the outermost frame."""

    application: object
    runner: Runner
    run_inside: bool
    overrides: Overrides | None

    def refuse(self) -> Response: ...


class ConnectionTasks(RequestBackgroundTasks):
    """The collection of one connection, with what its outermost frame sees of the response.

    The tasks run when three things have come together: no route is running, its response is complete, and the
    last byte has been handed to the server. Which of them comes last depends on the middleware in between.

    Args:
        frame: of the application.
        scope, receive, send: what the server calls it with.

    Attributes:
        frame: of the application.
        routes: how many routes run in it right now.
        answered: whether a route has made a response, and handed it to `send`.
        has_started: whether the start of a response has been handed to the server.
    """

    is_served = True
    _left = _told = False
    # Whether the start of the response waits for engines.
    _is_held = False
    _drained: anyio.Event | None = None
    # Of the error that is being handled while the last byte is sent, which an error response answers. Not the error
    # itself, whose traceback leads back here.
    _answering: int | None = None

    def __init__(self, frame: Frame, scope: Scope, receive: Receive, send: Send) -> None:
        # All of it here, not by the base class, as each request makes one.
        self.waiting = deque()
        self.substitute = self.failure = self.refusal = self.outgoing = None
        self.ending = self._draining = self._ended = self._trailers = False
        self.answered = self.has_started = self._sent = False
        self._plain = NOTHING
        self._running = self._stopped = None
        self.routes = 0
        self._runner = frame.runner
        self._scope = scope
        self.frame = frame
        self._receive = receive
        self._send = send

    async def receive(self) -> Message:
        """ASGI's ``receive``: that the client has everything and is gone is told when the tasks have run.

        Whoever sends a response may listen for it and cancel the sending, and with it the tasks that run there.
        If it has been told before, they do not run there.
        """
        if self.refusal is not None:
            return {"type": "http.disconnect"}
        receive = self._receive
        message = await receive()
        if message["type"] == "http.disconnect":
            if self._drained is not None:
                await self._drained.wait()
            self._told = True
        return message

    async def send(self, message: Message) -> None:
        """ASGI's ``send``: whoever hands over the last byte of a response that waits for it runs the tasks.

        An `OSError` is how a server of ASGI 2.4 says that the client has gone.
        """
        if self.outgoing is not None and not await self._is_accepted(message):
            return
        try:
            send = self._send
            await send(message)
        except OSError:
            self._left = True
            raise
        kind = message["type"]
        if kind == "http.response.start":
            self.has_started = True
            if "trailers" in message:
                self._trailers = message["trailers"]
        elif not message.get("more_body") and (kind in _ENDS_A_BODY if not self._trailers else _ends_trailers(message)):
            self._sent = True
            error = exception()
            if error is not None:
                self._answering = id(error)
            if self.waiting and not self.routes and self.is_due() and not self._told:
                await self._drain_inside()

    async def _is_accepted(self, message: Message) -> bool:
        """Whether a message may leave: none of a response does, before what was released for engines is accepted."""
        if self.refusal is None and message["type"] == "http.response.start":
            self.release()
            self._is_held = True
            if await self.is_refused():
                await self.frame.refuse()(cast(Scope, self._scope), self._receive, self._send)
        elif self.refusal is not None and message.get("more_body"):
            if self._is_spec_2_4():
                raise OSError(self.refusal)  # in the words of that version, the client has gone: a stream is to end
            # Nothing else may make a stream wait now, and somebody has to hear that the client has gone.
            await anyio.lowlevel.checkpoint()
        return self.refusal is None

    def _is_spec_2_4(self) -> bool:
        return tuple(map(int, self._scope["asgi"].get("spec_version", "2.0").split("."))) >= (2, 4)

    async def is_refused(self) -> bool:
        """Whether what the response's start waits for was not accepted, also if nobody waits with it any more.

        For what else its route has added, that is as if it had failed.
        """
        error = await self.outgoing.decision() if self._is_held and self.outgoing is not None else None
        if error is not None:
            self.refusal = f"its response was refused: {error}"
            for call in tuple(self.waiting):
                if type(call[2]) is Origin:
                    call[2].failure = self.refusal
        self._is_held = False
        return self.refusal is not None

    async def _drain_inside(self) -> None:
        self._drained = anyio.Event()
        try:
            await self.drain()
        finally:
            self._drained.set()

    def is_due(self) -> bool:
        """Whether the tasks are to be drained now; if the whole stack has been left, for the last time."""
        return not self.routes and (self.ending or (self.answered and self._sent and self.frame.run_inside))

    def over(self) -> bool:
        """The whole stack has been left; return whether tasks wait to be drained. A route that runs on does that."""
        self.ending = True
        if self.routes or self._draining:
            return False
        # As in `_last_look`, here for the sake of the requests in which nothing waits.
        self._ended = True
        if self.waiting and self._last_look():
            return True
        self._runner.ledger.collections.discard(self)
        return False

    def excuses(self, error: BaseException) -> bool:
        """Whether an exception only says that the client has gone, which is no failure."""
        return self._left or isinstance(error, ClientDisconnect | WebSocketDisconnect)

    async def settled(self, error: Exception) -> bool:
        """Settle an error that left the application, if it is a response's own background that failed: report it.

        That is so if it was raised after the last byte, and is not what an error response has answered. After a refusal
        it may only say that nothing more was sent.
        """
        if self.refusal is not None and isinstance(error, ClientDisconnect | OSError):
            return True
        if not self._sent or id(error) == self._answering:
            return False
        failure = failed_background(error, self)
        if failure is None:
            return False
        await self._runner.report(failure)
        return True


def _ends_trailers(message: Message) -> bool:
    return message["type"] == "http.response.trailers" and not message.get("more_trailers")
