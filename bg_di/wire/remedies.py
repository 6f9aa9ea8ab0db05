"""What to pass instead of what cannot leave the process."""

import inspect
from collections.abc import Iterator
from io import IOBase
from typing import Any

from starlette.background import BackgroundTask, BackgroundTasks
from starlette.datastructures import UploadFile
from starlette.requests import HTTPConnection
from starlette.responses import Response


def type_name(value: object) -> str:
    """That of its class, without the module if it is a builtin."""
    kind = type(value)
    return kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"


def remedy(value: Any) -> str:
    """What one can do, as the end of a sentence."""
    for kinds, text in _REMEDIES:
        if isinstance(value, kinds):
            return text
    if inspect.isawaitable(value):
        return "await it and pass its result"
    if any(kind.__module__.partition(".")[0] in _DATABASES for kind in type(value).__mro__):
        return "pass keys, and let the task ask the container for a session"
    if callable(value):
        return "pass the data that it would use, or declare a task that does its work"
    return "pass the data that it is made of, as a model or a dataclass"


_DATABASES = {"sqlalchemy", "sqlite3", "aiosqlite", "asyncpg", "psycopg", "psycopg2", "pymongo", "redis"}
_REMEDIES: tuple[tuple[Any, str], ...] = (
    ((IOBase, UploadFile), "pass its content as bytes, or where it is kept"),
    (BackgroundTasks, "let the task ask the container for it"),
    (BackgroundTask, "add it by itself"),
    ((HTTPConnection, Response), "pass what the task needs of it"),
    (Iterator, "pass a list of what it yields"),
)
