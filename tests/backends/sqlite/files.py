"""What the tests of the SQLite engine share: a file, and messages for it."""

import sqlite3
from collections.abc import Collection
from pathlib import Path
from typing import Any

from bg_di.backends.sqlite import schema
from bg_di.backends.sqlite.records import Delivery, Message
from bg_di.backends.sqlite.store import Store

NAME = "shop:mail"


def connect(path: Path, *, busy_timeout: float = 10, check: bool = True) -> sqlite3.Connection:
    return schema.connect(str(path), busy_timeout=busy_timeout, check=check)


def message(task_id: str, *, at: float = 0, **options: Any) -> Message:
    values: dict[str, Any] = {"task_id": task_id, "name": NAME, "body": b"{}", "added_at": at, "due_at": at}
    return Message(**values | options)


def claim(
    store: Store,
    *,
    owner: str = "worker",
    names: Collection[str] = (NAME,),
    version: int = 1,
    slots: int = 100,
    now: float = 0,
    lease: float = 60,
) -> list[Delivery]:
    return store.claim(owner, names=names, version=version, slots=slots, now=now, lease=lease)


def ids(deliveries: list[Delivery]) -> list[str]:
    return [delivery.task_id for delivery in deliveries]
