"""The own background of a response: it runs before the collected tasks, and its failure hurts nobody either.

Starlette runs it inside ``Response.__call__``, after the last byte, so its exception would pass for a response
that broke. For what a route returns it is put into a frame of its own beforehand. What mounted applications and
exception handlers return nobody shows us; there it is recognised by its traceback afterwards.
"""

import copy
from itertools import pairwise
from traceback import walk_tb
from typing import Any, cast

from starlette.background import BackgroundTask
from starlette.responses import Response

from bg_di.calls.protocols import Collection
from bg_di.calls.task import calls_in, collection_of, origin_here
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.declaring.binding import name_of
from bg_di.observing.failure import TaskFailure


def isolated(response: Response) -> Response:
    """The response with its own background run apart: a copy, as it may be shared by many requests."""
    background = vars(response).get("background")
    if background is None:
        return response
    response = copy.copy(response)
    response.background = apart(background)
    return response


def apart(background: Any) -> BackgroundTask | None:
    """A background that runs each call of `background` isolated, as the tasks of a collection are.

    None if there is nothing to run, or if it is the collection, which runs anyway.
    """
    if background is None or isinstance(background, RequestBackgroundTasks) or not calls_in(background):
        return None
    tasks = cast(RequestBackgroundTasks, collection_of(origin_here()))
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
    called = [frame.f_locals.get("self") for frame, _ in walk_tb(error.__traceback__)]
    for caller, callee in pairwise(called):
        if isinstance(caller, Response) and isinstance(callee, BackgroundTask) and caller.background is callee:
            # A collection calls its tasks in turn: the innermost one is the one that failed.
            return [task for task in called if isinstance(task, BackgroundTask)][-1]
    return None
