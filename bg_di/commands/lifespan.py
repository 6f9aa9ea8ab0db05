"""An application's lifespan, run without a server."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from starlette.types import ASGIApp, Message

from bg_di.calls.steps import in_words
from bg_di.commands.outcome import CommandFailed


@asynccontextmanager
async def running(app: ASGIApp, more: Mapping[str, Any]) -> AsyncGenerator[None]:
    """Run an application as a server does, from its start-up to its shutdown, but without requests.

    Args:
        app: the application.
        more: what is in the scope, too.

    Raises:
        CommandFailed: it could not start, or not shut down; with the reason that it gave.
    """
    lifespan = _Lifespan(
        app, {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": {}, **more}
    )
    await lifespan.go_through("startup", "could not start")
    try:
        yield
    finally:
        await lifespan.go_through("shutdown", "could not shut down")


class _Lifespan:
    def __init__(self, app: ASGIApp, scope: dict[str, Any]) -> None:
        self._told: asyncio.Queue[Message] = asyncio.Queue()
        self._heard: asyncio.Queue[Message] = asyncio.Queue()
        self._run = asyncio.ensure_future(app(scope, self._told.get, self._heard.put))
        self._run.add_done_callback(lambda _: self._heard.put_nowait({"type": "ended"}))

    async def go_through(self, phase: str, otherwise: str) -> None:
        await self._told.put({"type": f"lifespan.{phase}"})
        answer = await self._heard.get()
        if answer["type"] == f"lifespan.{phase}.complete":
            return
        await asyncio.wait([self._run])
        error = self._run.exception()
        why = answer.get("message") or (in_words(error) if error else "it ended without a word")
        raise CommandFailed(f"the application {otherwise}: {why}")
