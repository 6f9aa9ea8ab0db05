"""Drive real Ellar applications over ASGI, as a server does: each request in a task of its own."""

import logging
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from json import loads
from typing import Any, cast
from uuid import uuid4

import anyio
from ellar.app import App, AppFactory
from ellar.common import Module, ws_route
from ellar.core import ModuleBase
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message

from bg_di import BackgroundTasksModule


def module(name: str = "Feature", **metadata: Any) -> Any:
    """A module class of its own; metadata as `@Module` takes it, and ``body`` for what is in the class."""
    body = metadata.pop("body", {})
    return Module(name=f"{name}-{uuid4().hex}", **metadata)(type(name, (ModuleBase,), dict(body)))


def application(
    *routes: Any, tasks: Any = BackgroundTasksModule, config: dict[str, Any] | None = None, **more: Any
) -> App:
    """An application whose routes are in a feature module and whose background tasks are declared at the root."""
    feature = module(routers=list(routes), controllers=more.pop("controllers", ()), providers=more.pop("services", ()))
    modules = [*([tasks] if tasks else []), feature, *more.pop("modules", ())]
    return AppFactory.create_app(modules=modules, config_module=config or {}, **more)


def wrap(app: App, *middleware: Middleware) -> App:
    """Put middleware around the whole of Ellar's stack, inside our frame only."""
    frame, *stack = cast(list[Any], app.config.MIDDLEWARE)
    app.config.MIDDLEWARE = cast(Any, [frame, *middleware, *stack])
    return app


def websocket(path: str) -> Callable[[Callable[..., Any]], Any]:
    """Ellar's `ws_route`, which declares what it returns as not callable."""
    declare: Any = ws_route
    return cast(Callable[[Callable[..., Any]], Any], declare(path))


@dataclass
class Client:
    """The other side of one connection: what a server would be told and would send.

    Attributes:
        spec: the version of the ASGI specification that the server claims.
        leaves_after: the client has gone after so many messages of the response; None if it stays. A server of
            2.4 then raises `OSError` from ``send``, an earlier one swallows what is sent.
        before_send: awaited before the server takes a message, to make it slow.
        after_send: awaited after the server has taken a message, while ``receive`` may already know more.
        timeline: gets ``"start"`` and ``"last byte"``, when the server has taken them.
    """

    spec: str = "2.3"
    leaves_after: int | None = None
    before_send: Callable[[Message], Awaitable[None]] | None = None
    after_send: Callable[[Message], Awaitable[None]] | None = None
    timeline: list[Any] = field(default_factory=list)
    extensions: dict[str, Any] = field(default_factory=dict)
    status: int | None = None
    headers: list[tuple[str, str]] = field(default_factory=list)
    body: bytes = b""
    error: BaseException | None = None
    complete: bool = False
    messages: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._gone: anyio.Event | None = None

    def json(self) -> Any:
        return loads(self.body)

    def header(self, name: str) -> str | None:
        return next((value for key, value in self.headers if key == name), None)

    async def request(
        self,
        app: ASGIApp,
        path: str,
        *,
        method: str = "GET",
        query: str = "",
        body: bytes = b"",
        headers: Iterable[tuple[str, str]] = (),
    ) -> "Client":
        """Send one request and wait until the application is done with it; what it raises is kept in `error`."""
        gone = self._gone = anyio.Event()
        requests: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
        if self.leaves_after == 0:
            gone.set()

        async def receive() -> Message:
            if requests and self.leaves_after != 0:
                return requests.pop()
            await gone.wait()
            return {"type": "http.disconnect"}

        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": self.spec},
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": path,
            "raw_path": path.encode(),
            "query_string": query.encode(),
            "root_path": "",
            "headers": [(b"host", b"testserver"), *((k.lower().encode(), v.encode()) for k, v in headers)],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "extensions": self.extensions,
        }
        try:
            await app(scope, receive, self._send)
        except Exception as error:
            self.error = error
        return self

    async def _send(self, message: Message) -> None:
        if self.before_send is not None:
            await self.before_send(message)
        assert self._gone is not None
        if self._gone.is_set() and not self.complete:
            if self.spec >= "2.4":
                raise OSError("the client has gone")
            return
        assert not self.complete, f"sent after the last byte: {message}"
        self.messages.append(message)
        if message["type"] == "http.response.start":
            self.status = message["status"]
            self.headers = [(k.decode(), v.decode()) for k, v in message["headers"]]
            self.timeline.append("start")
        elif message["type"] == "http.response.body":
            self.body += message.get("body", b"")
        trailers = self.messages[0].get("trailers", False)
        if (
            message["type"] == "http.response.pathsend"
            or (message["type"] == "http.response.body" and not message.get("more_body") and not trailers)
            or (message["type"] == "http.response.trailers" and not message.get("more_trailers"))
        ):
            self.complete = True
            self.timeline.append("last byte")
            self._gone.set()
        if len(self.messages) == self.leaves_after:
            self._gone.set()
        if self.after_send is not None:
            await self.after_send(message)


async def request(app: ASGIApp, path: str, **options: Any) -> Client:
    """One request of a client that stays."""
    return await Client().request(app, path, **options)


async def concurrently(calls: Sequence[Callable[[], Awaitable[Any]]]) -> list[Any]:
    """Run all calls at once, each in a task of its own; results in order."""
    results: list[Any] = [None] * len(calls)

    async def one(index: int, call: Callable[[], Awaitable[Any]]) -> None:
        results[index] = await call()

    async with anyio.create_task_group() as group:
        for index, call in enumerate(calls):
            group.start_soon(one, index, call)
    return results


class Socket:
    """A WebSocket connection to an application: what the client sends is queued, what it gets is kept."""

    def __init__(self) -> None:
        self.sent: list[Message] = []
        self._to_app, self._from_client = anyio.create_memory_object_stream[Message](100)

    async def text(self, text: str) -> None:
        await self._to_app.send({"type": "websocket.receive", "text": text})

    async def close(self, code: int = 1000) -> None:
        await self._to_app.send({"type": "websocket.disconnect", "code": code})

    async def run(self, app: ASGIApp, path: str) -> BaseException | None:
        """Connect, run the application until it has ended, return what it raised."""
        scope = {
            "type": "websocket",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "scheme": "ws",
            "path": path,
            "raw_path": path.encode(),
            "query_string": b"",
            "root_path": "",
            "headers": [(b"host", b"testserver")],
            "client": ("127.0.0.1", 1),
            "server": ("testserver", 80),
            "subprotocols": [],
        }
        messages: list[Message] = [{"type": "websocket.connect"}]

        async def receive() -> Message:
            return messages.pop() if messages else await self._from_client.receive()

        async def send(message: Message) -> None:
            self.sent.append(message)

        try:
            await app(scope, receive, send)
        except Exception as error:
            return error
        finally:
            self._to_app.close()
            self._from_client.close()
        return None


class Lifespan:
    """One run of an application: what a server is told of it.

    Attributes:
        said: the types of what the application sends, without ``lifespan.``, and the message of a failure.
        error: what it raised.
    """

    def __init__(self) -> None:
        self.said: list[str] = []
        self.error: BaseException | None = None
        self._answered = anyio.Event()
        self._to_app, self._from_server = anyio.create_memory_object_stream[Message](2)

    @property
    def is_over(self) -> bool:
        return self.error is not None or self.said != ["startup.complete"]

    async def serve(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        try:
            await app({"type": "lifespan", "state": {}, **scope}, self._from_server.receive, self._send)
        except Exception as error:
            self.error = error
        finally:
            self._to_app.close()
            self._from_server.close()
            self._answered.set()

    async def tell(self, what: str) -> None:
        """Tell the application that it starts or ends, and wait for the answer."""
        self._answered = anyio.Event()
        await self._to_app.send({"type": f"lifespan.{what}"})
        await self._answered.wait()

    async def _send(self, message: Message) -> None:
        self.said.append(message["type"].removeprefix("lifespan."))
        if message.get("message"):
            self.said.append(message["message"])
        self._answered.set()


@asynccontextmanager
async def running(app: ASGIApp, **scope: Any) -> AsyncGenerator[Lifespan]:
    """Start an application up, and shut it down at the end, as a server does, unless it is over by itself."""
    lifespan = Lifespan()
    async with anyio.create_task_group() as group:
        group.start_soon(lifespan.serve, app, scope)
        await lifespan.tell("startup")
        yield lifespan
        if not lifespan.is_over:
            await lifespan.tell("shutdown")


class Log(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    @property
    def messages(self) -> list[str]:
        return [record.getMessage() for record in self.records]

    @property
    def text(self) -> str:
        return "\n".join(map(self.format, self.records))
