"""The collection of the current request, for code that the container does not build."""

from typing import Any, cast

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di.calls.task import collection_of, origin_here
from bg_di.collecting.background_tasks import BackgroundTasks


def current_background_tasks() -> BackgroundTasks:
    """The collection of the current request, for code that the container does not build.

    That is a mounted Starlette application, a function middleware, a helper deep in a call stack. Where the
    binding is overridden, it is what the container gives instead.

    Raises:
        BackgroundTasksUnavailable: no request is current here, or the application does not have the module.
    """
    return cast(BackgroundTasks, current_tasks(BackgroundTasks))


def current_tasks(key: type[StarletteBackgroundTasks]) -> StarletteBackgroundTasks:
    """The same for either key of the binding."""
    origin = origin_here()
    collection: Any = collection_of(None) if origin is None else origin.collection
    tasks: StarletteBackgroundTasks = collection if collection.substitute is None else collection.substitute(key)
    return tasks
