"""What an application says of the file that its tasks are on."""

import os
from dataclasses import KW_ONLY, dataclass
from datetime import timedelta
from typing import ClassVar, Final

from bg_di.backends.backend import Backend
from bg_di.backends.capabilities import Capability
from bg_di.backends.sqlite.engine import SqliteEngine
from bg_di.backends.sqlite.terms import Terms
from bg_di.values import Seconds, is_number, positive, seconds, wrong

# A lease is renewed three times while it lasts, and nobody may be waited for until it is too late.
_WAITS_IN_A_LEASE: Final = 4


@dataclass(frozen=True, slots=True)
class SqliteBackend(Backend):
    """Keeps tasks on a SQLite file: no server, one machine, a local disk. It needs POSIX file locks.

    Attributes:
        path: the file; made, for its owner only, in a folder that exists. Applications may share one.
        concurrency: how many tasks a worker runs at once.
        embedded: whether the application itself runs a worker.
        lease: seconds that a delivery stays a worker's that seems to hang. What a killed one had is given to another
            within about a second, however long this is, so make it long.
        max_deliveries: so often an attempt is delivered, if its workers die, before it is dead.
        max_message_bytes: of one task.
        unknown_after: seconds that a task waits for a worker that knows it, before it is dead.
        keep: seconds that what has succeeded or was cancelled stays, so that somebody can ask for it; what is dead
            stays until it is pruned.
        busy_timeout: seconds to wait for others who write to the file; at most a quarter of `lease`.

    Raises:
        InvalidOptions: a value is wrong.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset(
        {"delay", "idempotent", "unique_key", "cancel", "transaction", "listing", "dead", "counts"}
    )

    path: str | os.PathLike[str]
    _: KW_ONLY
    concurrency: int = 10
    embedded: bool = True
    lease: Seconds = 60.0
    max_deliveries: int = 5
    max_message_bytes: int = 256 * 1024
    unknown_after: Seconds = 3600.0
    keep: Seconds = timedelta(days=7)
    busy_timeout: Seconds = 2.0

    def __post_init__(self) -> None:
        _check_path(self.path)
        for key in ("concurrency", "max_deliveries", "max_message_bytes"):
            if not is_number(value := getattr(self, key)):
                raise wrong("SqliteBackend", key, value, "give a number of at least 1")
        if not isinstance(self.embedded, bool):
            raise wrong("SqliteBackend", "embedded", self.embedded, "give True or False")
        for key in ("lease", "unknown_after", "keep", "busy_timeout"):
            positive("SqliteBackend", key, getattr(self, key))
        if seconds(self.busy_timeout) * _WAITS_IN_A_LEASE > seconds(self.lease):
            remedy = f"give at most a quarter of the lease, which is {self.lease!r}: nothing is renewed meanwhile"
            raise wrong("SqliteBackend", "busy_timeout", self.busy_timeout, remedy)

    def open(self, application: str) -> SqliteEngine:
        """The file as one application uses it in the running event loop; opened when it is used first."""
        terms = Terms(
            max_deliveries=self.max_deliveries,
            lease=seconds(self.lease),
            unknown_after=seconds(self.unknown_after),
            keep=seconds(self.keep),
            busy_timeout=seconds(self.busy_timeout),
        )
        return SqliteEngine(os.fspath(self.path), application, terms)


def _check_path(path: object) -> None:
    name = os.fspath(path) if isinstance(path, str | os.PathLike) else None
    if not isinstance(name, str) or not name:
        raise wrong("SqliteBackend", "path", path, "give the path of a file, as a string or a path")
    if name.startswith((":memory:", "file:")):
        raise wrong("SqliteBackend", "path", path, "give the path of a file on a disk, as nothing else survives")
