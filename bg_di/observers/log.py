"""Log what tasks do, for whoever reads logs by their fields."""

import logging
from collections.abc import Generator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from time import perf_counter

from bg_di.log import fields
from bg_di.log import logger as bg_di_logger
from bg_di.observers.outcome import Outcome
from bg_di.observing.observer import Event, TaskObserver
from bg_di.record import TaskRecord


@dataclass(slots=True)
class _Run:
    """One task that runs: which attempt is its last."""

    task_id: str
    attempt: int = 0


# The attempts run in copies of the context of their task, where they find the same object.
_run: ContextVar[_Run | None] = ContextVar("bg_di.observers.log", default=None)


class LogObserver(TaskObserver):
    """Logs one line when a task has ended, and at DEBUG when it is added, released and tried.

    Every line has the fields of its task as ``extra``: ``task_id``, ``task_name``, ``method``, ``path`` and
    ``attempt``, which is 0 before the first; and the line of its end ``outcome``, a `bg_di.record.State`, and
    ``duration`` in seconds, of all attempts and the waits between them. None has its arguments.

    What is logged without this observer is not repeated: the traceback of a failing task, and what does not run.

    Args:
        logger: that it logs on; None: ``bg_di``.
        level: of the line when a task has ended.
    """

    def __init__(self, *, logger: logging.Logger | None = None, level: int = logging.INFO) -> None:
        self._logger = bg_di_logger if logger is None else logger
        self._level = level

    def task(self, record: TaskRecord) -> AbstractContextManager[None]:
        return self._ended(record)

    def attempt(self, record: TaskRecord) -> None:
        _run_of(record).attempt = record.attempt
        self._log(logging.DEBUG, record, f"starts its attempt {record.attempt}", attempt=record.attempt)

    def event(self, kind: Event, record: TaskRecord) -> None:
        if kind in {"added", "released"}:
            self._log(logging.DEBUG, record, f"was {kind}", attempt=record.attempt)

    @contextmanager
    def _ended(self, record: TaskRecord) -> Generator[None]:
        run, outcome, started = _run_of(record), Outcome(), perf_counter()
        try:
            with outcome:
                yield
        finally:
            duration = perf_counter() - started
            ended = {"attempt": run.attempt, "outcome": outcome.state, "duration": duration}
            self._log(self._level, record, f"{outcome.state} after {duration:.3f} s", **ended)

    def _log(self, level: int, record: TaskRecord, what: str, **more: object) -> None:
        name, method, path = record.name, record.method, record.path
        extra = {"task_id": record.task_id, **fields(name, method, path), **more}
        self._logger.log(level, f"background task %s of %s %s {what}", name, method, path, extra=extra)


def _run_of(record: TaskRecord) -> _Run:
    run = _run.get()
    if run is None or run.task_id != record.task_id:
        run = _Run(record.task_id)
        _run.set(run)
    return run
