"""Database sessions of an attempt: ellar-sql binds one to each request scope, and nothing gives it back."""

import inspect
from typing import Any

import anyio.to_thread
from ellar.di import RequestScopeContext

_MODULES = ("sqlalchemy.orm.session", "sqlalchemy.ext.asyncio.session")


async def close_sessions(scope: RequestScopeContext) -> None:
    """Close the SQLAlchemy sessions that were built in `scope`; a sync one in a thread."""
    for provider in list(scope.context.values()):
        session: Any = getattr(provider, "_instance", None)
        if _is_session(session):
            if inspect.iscoroutinefunction(session.close):
                await session.close()
            else:
                await anyio.to_thread.run_sync(session.close)


def _is_session(instance: object) -> bool:
    # By name: SQLAlchemy need not be installed.
    return any(
        kind.__name__ in {"Session", "AsyncSession"} and kind.__module__ in _MODULES for kind in type(instance).__mro__
    )
