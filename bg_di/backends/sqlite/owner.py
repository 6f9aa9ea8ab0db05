"""A locked file for each owner of deliveries, which tells one that is dead from one that is slow."""

import fcntl
import os
from collections.abc import Collection, Iterable
from contextlib import suppress
from glob import escape
from pathlib import Path
from typing import Final
from uuid import uuid4

from bg_di.backends.sqlite.failures import explained
from bg_di.errors import BackendUnavailable


class Owner:
    """Somebody who claims deliveries. His file is locked as long as he lives, however he dies.

    The lock is ``flock``'s: it belongs to what was opened here, so that several owners in a process are told apart,
    and ends with the process. One of ``lockf`` would end when anybody in the process closed the same file.

    Args:
        database: the file that the deliveries are on; the lock file stands beside it.

    Attributes:
        name: under which he claims; no other owner ever has it.

    Raises:
        BackendUnavailable: the lock file cannot be made.
    """

    def __init__(self, database: str) -> None:
        self.name = uuid4().hex
        self._database = database
        self._path = _path(database, self.name)
        self._descriptor: int | None = self._lock()
        _ours.add(self)

    def keep(self) -> bool:
        """Put the lock file back if somebody has deleted it; to be called at each heartbeat.

        Returns:
            Whether it was there. While it was not, nobody could tell that this owner lives, nor that he is dead.

        Raises:
            BackendUnavailable: it is not there and cannot be made, or this owner has been released, or is another
                process's.
        """
        if self._descriptor is None:
            raise BackendUnavailable(self._database, f"has no owner {self.name} in this process (any more)")
        if _is(self._path, self._descriptor):
            return True
        lost, self._descriptor = self._descriptor, self._lock()
        os.close(lost)
        return False

    def release(self) -> None:
        """He claims no more, and has nothing in hand: remove the lock file."""
        if self._descriptor is not None:
            if _is(self._path, self._descriptor):
                self._path.unlink()
            self.forget()

    def forget(self) -> None:
        """Close the lock file, and neither unlock nor remove it: whoever else asks finds a dead owner."""
        _ours.discard(self)
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            os.close(descriptor)

    def _lock(self) -> int:
        with explained(self._database):
            while True:
                descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o600)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
                if _is(self._path, descriptor):
                    return descriptor
                os.close(descriptor)  # cleaned away before it was locked


def alive(database: str, owner: str) -> bool | None:
    """Whether an owner lives, in whatever process.

    Returns:
        None if nobody knows: he has no lock file, or this process may not look.
    """
    path = _path(database, owner)
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDWR)
        try:
            # Shared, so that two who ask at once do not take each other for the owner.
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
            return False if _is(path, descriptor) else None
        except BlockingIOError:
            return True
        finally:
            os.close(descriptor)
    return None


def dead(database: str, owners: Iterable[str]) -> set[str]:
    """Those of whom it is certain that they live no more."""
    return {owner for owner in owners if alive(database, owner) is False}


def clean(database: str, *, keep: Collection[str]) -> None:
    """Remove the lock files that the dead have left.

    Args:
        keep: who may still have deliveries in hand: without his file, they would have to wait until their leases end.
    """
    any_of_them, kept = _path(database, ""), {_path(database, owner) for owner in keep}
    for path in any_of_them.parent.glob(f"{escape(any_of_them.name)}*"):
        if path not in kept:
            with suppress(OSError):  # it is locked, may not be touched, or has gone meanwhile
                _remove(path)


def _remove(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if _is(path, descriptor):
            path.unlink()
    finally:
        os.close(descriptor)


def _path(database: str, owner: str) -> Path:
    # Wherever a link to the database stands, all have to look in the same folder.
    return Path(f"{os.path.realpath(database)}-owner-{owner}")


def _is(path: Path, descriptor: int) -> bool:
    """Whether what was opened is still what the path leads to."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _forget_all() -> None:
    for owner in tuple(_ours):
        owner.forget()


_ours: Final[set[Owner]] = set()
# Closed only: to unlock what a child has inherited would free its parent's lock, and kept open it would outlive him.
os.register_at_fork(after_in_child=_forget_all)
