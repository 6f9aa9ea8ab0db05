"""SQLAlchemy's sessions, recognised by name: it need not be installed, and is not imported for that."""

from functools import lru_cache
from typing import Any, Final

_MODULES: Final = ("sqlalchemy.orm.session", "sqlalchemy.ext.asyncio.session")


def is_session(given: Any) -> bool:
    """Whether something is a session of SQLAlchemy, sync or async."""
    return _is_session_type(given.__class__)


def synchronous(session: Any) -> Any:
    """The session that does the work: an async one is but a face of it."""
    return getattr(session, "sync_session", session)


@lru_cache(maxsize=1000)
def _is_session_type(kind: Any) -> bool:
    return any(base.__name__ in {"Session", "AsyncSession"} and base.__module__ in _MODULES for base in kind.__mro__)
