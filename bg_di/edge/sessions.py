"""Database sessions of a request or an attempt: ellar-sql binds one to each scope, and nothing gives it back."""

import inspect
import sys
from typing import Any

import anyio.to_thread
from ellar.di import RequestScopeContext

from bg_di.backends.sessions import is_session


def sessions_in(scope: RequestScopeContext) -> list[Any]:
    """The SQLAlchemy sessions that were built in `scope`."""
    if "sqlalchemy.orm" not in sys.modules:
        return []
    built = [getattr(provider, "_instance", None) for provider in list(scope.context.values())]
    return [instance for instance in built if instance is not None and is_session(instance)]


async def close_session(session: Any) -> None:
    """Give back what a session holds; a sync one does it in a thread."""
    if inspect.iscoroutinefunction(session.close):
        await session.close()
    else:
        await anyio.to_thread.run_sync(session.close)
