"""Recognise the failure of a response's own background, which comes out of the response itself.

Starlette runs it inside ``Response.__call__``, after the last byte. Seen from outside, its exception looks like
a response that broke. What tells them apart without touching the response, which may be shared by many
requests, is the traceback: there the response called its background.
"""

from collections.abc import Iterator
from itertools import pairwise
from types import TracebackType

from starlette.background import BackgroundTask
from starlette.responses import Response

from bg_di.failure import TaskFailure
from bg_di.runner import Runner
from bg_di.task import Collection, name_of


async def reported_as_background(error: BaseException, collection: Collection, runner: Runner) -> bool:
    """Report `error` to the error handler if it comes from a response's own background; return whether it does.

    Ellar's exception middleware raises a `RuntimeError` from the one that it caught too late: the cause is
    looked at as well.
    """
    cause: BaseException | None = error
    while isinstance(cause, Exception):
        task = _background_in(cause)
        if task is not None:
            name, method, path = name_of(task.func), collection.method, collection.path
            await runner.report(TaskFailure(error=cause, name=name, method=method, path=path, task=task))
            return True
        cause = cause.__cause__
    return False


def _background_in(error: BaseException) -> BackgroundTask | None:
    called = list(_receivers(error.__traceback__))
    for caller, callee in pairwise(called):
        if isinstance(caller, Response) and isinstance(callee, BackgroundTask) and caller.background is callee:
            # A collection calls its tasks in turn: the innermost one is the one that failed.
            return [task for task in called if isinstance(task, BackgroundTask)][-1]
    return None


def _receivers(traceback: TracebackType | None) -> Iterator[object]:
    while traceback is not None:
        yield traceback.tb_frame.f_locals.get("self")
        traceback = traceback.tb_next
