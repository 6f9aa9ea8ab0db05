"""Database sessions of an attempt: ellar-sql binds one to each request scope, and nothing gives it back."""

import inspect
import sys
from functools import lru_cache
from typing import Any

import anyio.to_thread
from ellar.di import RequestScopeContext

_MODULES = ("sqlalchemy.orm.session", "sqlalchemy.ext.asyncio.session")


def sessions_in(scope: RequestScopeContext) -> list[Any]:
    """The SQLAlchemy sessions that were built in `scope`."""
    if "sqlalchemy.orm" not in sys.modules:
        return []
    built = [getattr(provider, "_instance", None) for provider in list(scope.context.values())]
    return [instance for instance in built if instance is not None and _is_session(instance.__class__)]


async def close_session(session: Any) -> None:
    """Give back what a session holds; a sync one does it in a thread."""
    if inspect.iscoroutinefunction(session.close):
        await session.close()
    else:
        await anyio.to_thread.run_sync(session.close)


@lru_cache(maxsize=1000)
def _is_session(built: Any) -> bool:
    # By name: SQLAlchemy need not be installed.
    return any(kind.__name__ in {"Session", "AsyncSession"} and kind.__module__ in _MODULES for kind in built.__mro__)
