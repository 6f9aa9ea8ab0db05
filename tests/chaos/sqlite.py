"""Chaos on a SQLite file: whoever claims a task may die, or be stopped until its lease has expired."""

import asyncio
import re
import sqlite3
from collections import Counter
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from bg_di.backends import Entry
from bg_di.backends.sqlite import SqliteBackend, statements
from tests.chaos.ground import Ground, Site
from tests.chaos.ports import free_port
from tests.chaos.record import History, Record, Run
from tests.chaos.scene import Role
from tests.chaos.windows import UNACKNOWLEDGED, UNANSWERED, UNSTARTED, Death, Window

LEASE: Final = 3.0
MAX_DELIVERIES: Final = 5

UNCOMMITTED: Final = Window("inserted but uncommitted", "answers")
# Takeovers come one at a time, and only after somebody else has died.
TAKEOVER: Final = Window("during takeover", "work", rarity=1)

# What opens a window, until it is committed.
_CHANGES: Final = {statements.ACCEPT: UNCOMMITTED, statements.TAKE_BACK: TAKEOVER}
_LOST_DELIVERY: Final = re.compile(r"delivery \d+ was lost: its owner (\w+) (died|let its lease expire)")


@dataclass(frozen=True)
class File(Site):
    """A file in the folder."""

    folder: Path

    @property
    def path(self) -> Path:
        return self.folder / "tasks.db"

    def enter(self, role: Role) -> None:
        """All are on one machine."""

    def backend(self, role: Role) -> SqliteBackend:
        return SqliteBackend(
            self.path, embedded=role.embedded, lease=LEASE, max_deliveries=MAX_DELIVERIES, busy_timeout=0.5
        )

    def watch(self, death: Death, record: Record) -> None:
        """Look at each statement of every connection of this process."""

        class Watched(sqlite3.Connection):
            _owner: str | None = None
            _window: Window | None = None
            _changes = 0

            def execute(self, sql: str, parameters: Any = (), /) -> sqlite3.Cursor:
                if sql.startswith("BEGIN"):
                    self._window = None
                elif sql in _CHANGES:
                    self._window, self._changes = _CHANGES[sql], self.total_changes
                elif sql == "COMMIT" and self._window is not None and self.total_changes > self._changes:
                    death.passes(self._window)
                elif sql == statements.CLAIM and parameters["owner"] != self._owner:
                    self._owner = parameters["owner"]
                    record.write("owner", owner=self._owner)
                return super().execute(sql, parameters)

        patched: Any = sqlite3
        patched.connect = partial(sqlite3.connect, factory=Watched)


class SqliteGround(Ground):
    """Nothing else goes wrong here."""

    windows: ClassVar = (UNCOMMITTED, UNANSWERED, UNSTARTED, UNACKNOWLEDGED, TAKEOVER)
    rest: ClassVar = LEASE * 1.5
    engine = ("SQLite", sqlite3.sqlite_version)

    @asynccontextmanager
    async def laid(self) -> AsyncGenerator[None]:
        self.site = self._file = File(self.scene.folder)
        self.roles = (
            Role(name="web and worker", port=free_port(), embedded=True),
            Role(name="web", port=free_port()),
            Role(name="worker", embedded=True),
            Role(name="other worker", embedded=True),
        )
        yield

    async def has_finished(self) -> bool:
        engine = SqliteBackend(self._file.path).open("chaos")
        counts = await asyncio.to_thread(engine.counts)
        await engine.close()
        return not counts.waiting and not counts.running

    async def end(self) -> None:
        engine = SqliteBackend(self._file.path).open("chaos")
        self._entries = {entry.task_id: entry for entry in engine.entries(limit=10**9)}
        engine.abandon()

    def wrong(self, history: History) -> Iterator[str]:
        for task_id in self.scene.answers.accepted - self._entries.keys():
            yield f"{task_id} was answered with success and is not there"
        owners = {line["owner"]: line["pid"] for line in history.lines["owner"]}
        for entry in self._entries.values():
            yield from _wrong_end(entry, history, owners)

    def told(self, history: History) -> dict[str, object]:
        return {"on the file": dict(Counter(entry.state for entry in self._entries.values()))}

    def cause(self, history: History, task_id: str, run: Run, after: Run) -> str | None:
        ends = history.ends[run.pid]
        return f"process {ends[0]['what']}" if ends else None


def _wrong_end(entry: Entry, history: History, pids: dict[str, int]) -> Iterable[str]:
    if entry.state == "succeeded":
        if not history.ended[entry.task_id]:
            yield f"{entry.task_id} has succeeded, and has not run to its end"
    elif entry.state == "dead":
        owners = [owner for owner, _ in _LOST_DELIVERY.findall(entry.reason or "")]
        if len(owners) != MAX_DELIVERIES:
            yield f"{entry.task_id} is dead, and not by the limit of deliveries: {entry.reason}"
        for owner in owners:
            if not history.ends[pids[owner]]:
                yield f"{entry.task_id} is dead, and {owner} was neither killed nor stopped"
    else:
        yield f"{entry.task_id} is {entry.state} in the end"
