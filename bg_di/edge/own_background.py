"""The own background of a response: it runs before the collected tasks, and its failure hurts nobody either.

Starlette runs it inside ``Response.__call__``, after the last byte, so its exception would pass for a response
that broke. For what a route returns it is put into a frame of its own beforehand. What mounted applications and
exception handlers return nobody shows us; there it is recognised by its traceback afterwards.
"""

import copy
from collections.abc import Iterator, MutableMapping
from inspect import CO_OPTIMIZED
from itertools import pairwise
from types import TracebackType
from typing import Any

from ellar.common.constants import SCOPED_RESPONSE
from starlette.background import BackgroundTask
from starlette.responses import Response

from bg_di.binding import name_of
from bg_di.collection import RequestBackgroundTasks
from bg_di.failure import TaskFailure
from bg_di.task import Collection, calls_in


def isolated(result: Any, scope: MutableMapping[str, Any], tasks: RequestBackgroundTasks) -> Any:
    """What a handler returned, with the response's own background run apart.

    A response may be shared by many requests, so a copy takes its place. The response that Ellar injects into a
    handler is the request's own.
    """
    if isinstance(result, Response):
        background = _apart(vars(result).get("background"), tasks)
        if background is not None:
            result = copy.copy(result)
            result.background = background
    elif SCOPED_RESPONSE in scope:
        injected = scope[SCOPED_RESPONSE]
        injected.background = _apart(injected.background, tasks)
    return result


def _apart(background: Any, tasks: RequestBackgroundTasks) -> BackgroundTask | None:
    if background is None or isinstance(background, RequestBackgroundTasks) or not calls_in(background):
        return None
    return BackgroundTask(tasks.run_apart, background)


def failed_background(error: BaseException, collection: Collection) -> TaskFailure | None:
    """The failure that an error is, if a response's own background raised it; else None.

    Ellar's exception middleware raises a `RuntimeError` from the one that it caught too late: the cause is
    looked at as well.
    """
    for raised in (error, error.__cause__):
        task = None if raised is None else _background_in(raised)
        if raised is not None and task is not None:
            name, method, path = name_of(task.__call__), collection.method, collection.path
            return TaskFailure(error=raised, name=name, method=method, path=path, task=task)
    return None


def _background_in(error: BaseException) -> BackgroundTask | None:
    called = list(_receivers(error.__traceback__))
    for caller, callee in pairwise(called):
        if isinstance(caller, Response) and isinstance(callee, BackgroundTask) and caller.background is callee:
            # A collection calls its tasks in turn: the innermost one is the one that failed.
            return [task for task in called if isinstance(task, BackgroundTask)][-1]
    return None


def _receivers(traceback: TracebackType | None) -> Iterator[object]:
    while traceback is not None:
        names = traceback.tb_frame.f_locals
        yield names.get("self")
        if type(names) is dict and traceback.tb_frame.f_code.co_flags & CO_OPTIMIZED:
            # Up to Python 3.12 the frame keeps this copy of its variables, one of which may be the error: a cycle.
            names.clear()
        traceback = traceback.tb_next
