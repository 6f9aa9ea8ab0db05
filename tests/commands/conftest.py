"""An engine on a file, with tasks in each state."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from bg_di.backends import Message
from bg_di.backends.sqlite import SqliteBackend
from tests.commands import shop

# What no command may print.
SECRET = "s3cr3t"


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the shop keeps its tasks."""
    path = tmp_path / "tasks.db"
    monkeypatch.setenv(shop.FILE, str(path))
    return path


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where it keeps others."""
    path = tmp_path / "other.db"
    monkeypatch.setenv(shop.OTHER, str(path))
    return path


def message(task_id: str, *, at: float = 1000.0, key: str | None = None) -> Message:
    until = None if key is None else 1e11
    body = SECRET.encode()
    return Message(task_id=task_id, name="greet", body=body, added_at=at, due_at=at, unique_key=key, unique_until=until)


def keep(path: Path, messages: Sequence[Message], *, becoming: str | None = None) -> None:
    """Have messages accepted, and delivered to a worker for which they become "dead" or "succeeded"."""

    async def accept() -> None:
        engine = SqliteBackend(path).open("shop")
        await engine.accept(messages)
        if becoming is not None:
            consumer = await engine.consume(["greet"], lost=lambda *_: None)
            for _ in messages:
                for delivery in await consumer.receive(1):
                    if becoming == "dead":
                        await consumer.bury(delivery, attempt=3, reason="OSError: no\x1b[1m\nmore")
                    else:
                        await consumer.acknowledge(delivery)
            await consumer.stop()
        await engine.close()

    asyncio.run(accept())
