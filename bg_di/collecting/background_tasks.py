"""The collection as users know it, and views on it with another policy."""

from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, overload

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di.calls.context import TaskReference
from bg_di.calls.task import Call
from bg_di.declaring.declare import ServiceTask, declared
from bg_di.declaring.policy import DEFAULT, When
from bg_di.declaring.retry import Retry
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.values import Seconds

P = ParamSpec("P")


def refuse_service(func: object) -> None:
    """Refuse what only a container can complete.

    Raises:
        BackgroundTasksUnavailable: `func` is a declared method, looked up on its class.
    """
    declaration = declared(func)
    if declaration is not None and declaration.service is not None:
        raise BackgroundTasksUnavailable(
            f"{declaration.name} is a method of a service, and no container supplies one here: ask for BackgroundTasks "
            "by annotation, or add the method of an instance"
        )


class BackgroundTasks(StarletteBackgroundTasks):
    """Background tasks, in order.

    Ask for it by annotation, and it is the collection of the current request or WebSocket connection: what is
    added runs exactly once, after the last byte of the response. Built by hand, it works as Starlette's.

    Tasks in the process run one after another, in the order in which they were added; by the option ``on_error`` a
    failing one ends the rest, as Starlette and Ellar document it. Tasks on an engine are independent of them and of
    each other: they are accepted before the response leaves, and run at least once.
    """

    # Positional-only where Starlette's is not: a task may have an argument of that name.
    @overload  # type: ignore[override]
    def add_task(self, func: ServiceTask[Any, P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    @overload
    def add_task(self, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None: ...
    def add_task(self, func: Any, /, *args: Any, **kwargs: Any) -> None:
        """Add a call, to run after the response, behind what was added before it.

        Args:
            func: a function, sync or async, or any other callable. A sync one runs in a thread; if it returns
                an awaitable, that is awaited. A declared method, looked up on its class, is called on a service that
                the container builds when the task runs. Positional-only, so a task may have an argument of that name.
            *args: what it is called with, apart from what the container supplies.
            **kwargs: the same, by name.

        Raises:
            TypeError: it is not callable, cannot be a task, or does not take these arguments; or the container
                cannot supply what a declared task needs.
            InvalidOptions: its backend is not configured, or cannot do what its policy wants.
            BackgroundTasksUnavailable: no request is current here, or its tasks have ended.
        """
        self._take(func, args, kwargs)

    def _take(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        refuse_service(func)
        self.tasks.append(Call(func, args, kwargs))

    def using(
        self,
        *,
        when: When | None = None,
        timeout: Seconds | None = None,
        retry: Retry | None = None,
        backend: str | None = None,
        delay: Seconds | None = None,
        unique_key: str | None = None,
        unique_for: Seconds | None = None,
        session: Any = None,
    ) -> "TasksUsing":
        """The same collection, to which tasks are added with another policy.

        Args:
            when: as for `background_task`. None, here and below: as it was declared.
            timeout: seconds for each attempt, as for `background_task`.
            retry: as for `background_task`.
            backend: as for `background_task`.
            delay: seconds, as for `background_task`.
            unique_key: no other task of this name with this key is accepted by the engine, while this one waits and
                runs, and for some time if it has succeeded: who adds another one gets the reference of the first.
            unique_for: seconds after which the key is free again, if it has; None: a day.
            session: a database session, with whose commit the engine has the task, and with whose rollback it has not.

        Raises:
            InvalidOptions: a value is wrong.
        """
        options = {
            "when": when,
            "timeout": timeout,
            "retry": retry,
            "backend": backend,
            "delay": delay,
            "unique_key": unique_key,
            "unique_for": unique_for,
            "session": session,
        }
        policy = {key: value for key, value in options.items() if value is not None}
        DEFAULT.changed(policy)
        return TasksUsing(self, policy)

    def add_with(
        self, policy: Mapping[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskReference:
        """Add a call with a policy of its own: what `using` is made of.

        Args:
            policy: the options that are other than declared.
            func: as for `add_task`.
            args: what it is called with.
            kwargs: the same, by name.

        Raises:
            BackgroundTasksUnavailable: this collection is built by hand; or as `add_task` raises it.
        """
        raise BackgroundTasksUnavailable(
            "a collection that is built by hand runs tasks as Starlette does, without policies: ask for "
            "BackgroundTasks by annotation"
        )


class TasksUsing:
    """A view on a collection: what is added through it has another policy.

    Args:
        tasks: the collection.
        policy: the options that are other than declared.
    """

    def __init__(self, tasks: BackgroundTasks, policy: Mapping[str, Any]) -> None:
        self._tasks = tasks
        self._policy = policy

    @overload
    def add_task(self, func: ServiceTask[Any, P, Any], /, *args: P.args, **kwargs: P.kwargs) -> TaskReference: ...
    @overload
    def add_task(self, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> TaskReference: ...
    def add_task(self, func: Any, /, *args: Any, **kwargs: Any) -> TaskReference:
        """Add a call, as `BackgroundTasks.add_task` does; what stands for it is returned.

        Args:
            func: as for `BackgroundTasks.add_task`.
            *args: likewise.
            **kwargs: likewise.

        Raises:
            TypeError: as `BackgroundTasks.add_task` raises it.
            InvalidOptions: likewise; or a policy cannot be kept: a timeout of a sync function.
            BackgroundTasksUnavailable: likewise.
        """
        return self._tasks.add_with(self._policy, func, args, kwargs)
