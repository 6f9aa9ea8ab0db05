"""Every line that bg_di logs, on the logger ``bg_di``, but that of the default `TaskErrorHandler`.

None has a task's arguments. Those about one task have what they say of it as ``extra`` too: ``task_name``, ``method``
and ``path``.
"""

import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from bg_di.record import NotRun

logger = logging.getLogger("bg_di")


def fields(name: str, method: str, path: str, task_id: str | None = None) -> dict[str, str]:
    """The ``extra`` of a line about a task. No name is one of an attribute that a log record has anyway."""
    known = {} if task_id is None else {"task_id": task_id}
    return {"task_name": name, "method": method, "path": path, **known}


class Place(Protocol):
    """Where a task belongs."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...


class Named(Protocol):
    """What is known here of a task."""

    @property
    def name(self) -> str: ...

    @property
    def collection(self) -> Place: ...


def error_handler_failed(name: str, method: str, path: str, error: BaseException) -> None:
    logger.exception(
        "the TaskErrorHandler failed on background task %s of %s %s, which had failed with %r",
        name,
        method,
        path,
        error,
        extra=fields(name, method, path),
    )


def not_run(task: Named, state: NotRun, reason: str) -> None:
    if state == "cancelled":
        _about(logging.ERROR, task, "never started: %s", reason)
    else:
        _about(logging.WARNING, task, f"was {state}: %s", reason)


def cancelled(task: Named) -> None:
    _about(logging.INFO, task, "was cancelled before it started, by BackgroundTasksMonitor.cancel()")


def stood_for(task: Named, task_id: str) -> None:
    _about(logging.INFO, task, "was not accepted anew: %s has the same unique key and stands for it", task_id)


def undecided(task: Named, task_id: str, reason: str) -> None:
    _about(logging.ERROR, task, "(%s): %s", task_id, reason)


def cut_off(task: Named, reason: str) -> None:
    _about(logging.ERROR, task, "was cut off while it ran: %s", reason)


def awaited(task: Named) -> None:
    _about(logging.WARNING, task, "is not done while the server shuts down: it is waited for, unless the server kills")


def again(task: Named, task_id: str, attempt: int, wait: float, reason: str) -> None:
    what = "(%s) failed at attempt %s and runs again in %.1f seconds: %s"
    _about(logging.WARNING, task, what, task_id, attempt, wait, reason)


def dead(backend: str, task_id: str, name: str, reason: str) -> None:
    _on_engine(logging.ERROR, backend, name, task_id, "is dead, kept with the reason: %s", reason)


def buried(task: Named, task_id: str) -> None:
    _about(logging.WARNING, task, "(%s) is dead, kept with its error until it is put back or pruned", task_id)


def cancelled_on(backend: str, task_id: str) -> None:
    logger.info("task %s of the backend %r was cancelled before it started", task_id, backend)


def given_back(backend: str, name: str, task_id: str) -> None:
    _on_engine(logging.WARNING, backend, name, task_id, "was cut off: it goes back, uncounted, when its worker stops")


def runs_on(backend: str, name: str, task_id: str) -> None:
    _on_engine(
        logging.ERROR,
        backend,
        name,
        task_id,
        "does not let itself be cut off: it is given back all the same, and runs twice",
    )


def not_understood(backend: str, name: str, task_id: str, reason: Exception) -> None:
    _on_engine(logging.WARNING, backend, name, task_id, "waits for a worker of another version: %s", reason)


def delivery_lost(backend: str, name: str, task_id: str) -> None:
    _on_engine(
        logging.WARNING,
        backend,
        name,
        task_id,
        "ended after its delivery had been lost: it may have run twice, and the other run counts",
    )


def worker_failed(backend: str, name: str, task_id: str, error: Exception) -> None:
    logger.error(
        "the worker of %r failed on background task %s (%s), which is dead",
        backend,
        name,
        task_id,
        exc_info=error,
        extra=fields(name, "BACKEND", backend),
    )


def named_by_script(name: str) -> None:
    logger.warning(
        "task %s has its name from a module that is run as a script: a worker that imports it knows it by another one, "
        "and does not run what is added here; give it a name, by @background_task(name=...)",
        name,
    )


def not_started(reason: str) -> None:
    logger.error("the application does not start: %s", reason)


def worker_works(backends: Sequence[str], count: int) -> None:
    tasks = "1 task" if count == 1 else f"{count} tasks"
    logger.info("a worker takes what %s delivers, of %s that it knows", ", ".join(map(repr, backends)), tasks)


def no_worker(backend: str) -> None:
    logger.warning(
        "tasks go to the backend %r, and no worker in this process takes them: the application was not started up, as "
        "its server runs no lifespan, or it is mounted in another one; run python -m bg_di worker, and say "
        "embedded=False where that is so",
        backend,
    )


def worker_ends(signal: str) -> None:
    logger.info("the worker ends, as it got %s: it takes no more; what runs may end, within grace_period", signal)


def threads_ended(threads: int) -> None:
    logger.warning("%s threads of tasks do not end and are ended with the process", threads)


def worker_ended() -> None:
    logger.info("the worker has ended")


def engine_away(backend: str, error: Exception) -> None:
    logger.error("the worker of %r cannot go on; it tries again until it can: %s", backend, error)


def engine_back(backend: str) -> None:
    logger.info("the worker of %r goes on", backend)


def worker_not_stopped(backend: str, error: Exception) -> None:
    logger.error("the worker of %r could not give back what it had in hand: %s", backend, error)


def engine_not_ready(backend: str, error: Exception) -> None:
    logger.error("the backend %r cannot keep tasks yet; it is tried again when there are some: %s", backend, error)


def engine_not_closed(backend: str, error: Exception) -> None:
    logger.error("the backend %r could not be closed: %s", backend, error)


def clean_up_took_too_long(name: str, seconds: float) -> None:
    logger.error(
        "what background task %s cleans up did not end within %s seconds and was given up",
        name,
        seconds,
        extra={"task_name": name},
    )


def clean_up_broken(name: str) -> None:
    logger.error(
        "what background task %s cleans up was broken off: it was cancelled once more meanwhile",
        name,
        extra={"task_name": name},
    )


def observer_failed(hook: Callable[..., object]) -> None:
    logger.exception("the observer %s failed; the task goes on", getattr(hook, "__qualname__", hook))


def heartbeat_fails(engine: str, error: BaseException) -> None:
    logger.error("the heartbeat of a worker on %s fails and is tried again: %s", engine, error, exc_info=error)


def heartbeat_works(engine: str) -> None:
    logger.info("the heartbeat of a worker on %s works again", engine)


def lease_lost(name: str, task_id: str) -> None:
    logger.warning(
        "background task %s (%s) was taken from this worker while it ran, as its lease had not been renewed: it may "
        "run twice",
        name,
        task_id,
        extra={"task_name": name, "task_id": task_id},
    )


def connection_lost(engine: str, why: str) -> None:
    logger.error("the connection of a worker to %s is lost: %s; it tries to be back until it is", engine, why)


def connection_fails(error: Exception) -> None:
    logger.error("a worker cannot be connected again: %s", error)


def connection_back(engine: str) -> None:
    logger.info("the connection of a worker to %s is back", engine)


def not_passed_on(name: str, task_id: str, error: Exception) -> None:
    logger.error(
        "background task %s (%s), which is not to run here now, could not be put elsewhere; it is tried again: %s",
        name,
        task_id,
        error,
        extra={"task_name": name, "task_id": task_id},
    )


def module_middleware(modules: list[str]) -> None:
    logger.warning(
        "run_after='response' in an application with module middleware (%s): background tasks run while the "
        "module's context and what its middleware holds, such as a database session, are still open, and a long "
        "task can make concurrent requests of that module fail; run_after='request' runs them after the whole "
        "middleware stack",
        ", ".join(modules),
    )


def _about(level: int, task: Named, what: str, *args: object) -> None:
    name, method, path = task.name, task.collection.method, task.collection.path
    logger.log(
        level, f"background task %s of %s %s {what}", name, method, path, *args, extra=fields(name, method, path)
    )


def _on_engine(level: int, backend: str, name: str, task_id: str, what: str, *args: object) -> None:
    logger.log(
        level,
        f"background task %s (%s) of the backend %r {what}",
        name,
        task_id,
        backend,
        *args,
        extra=fields(name, "BACKEND", backend),
    )
