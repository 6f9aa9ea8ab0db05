"""A fake that records what was added and runs nothing."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from bg_di.calls.context import TaskReference
from bg_di.calls.task import origin_here
from bg_di.collecting.background_tasks import BackgroundTasks
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.declaring.declare import declared, refuse_timeout_of_sync
from bg_di.declaring.dependencies import missing, needs_of
from bg_di.declaring.placeholder import refuse_placeholder, refuse_unfilled
from bg_di.declaring.policy import DEFAULT
from bg_di.edge.container import key_of
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.running.planner import refuse_unfit, unfolded
from bg_di.testing.added import AddedTask
from bg_di.testing.matching import Chosen, Only, chosen, is_meant, whole
from bg_di.testing.words import AddedTasks


class RecordingBackgroundTasks(AddedTasks, BackgroundTasks):
    """Records tasks instead of running them.

    ``Test.create_test_module(…).override_provider(BackgroundTasks, use_value=RecordingBackgroundTasks())`` puts
    it in the place of every request's collection. What the real one refuses at `add_task`, this one refuses too: in a
    request all of it, by the options of its application; elsewhere what can be known of the call alone. It keeps also
    what a handler has added that fails afterwards.

    Attributes:
        recorded: every call that was added, in order; `drain` does not remove it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[AddedTask] = []

    @property
    def tasks_added(self) -> Sequence[AddedTask]:
        """What was recorded, in order."""
        return self.recorded

    def _take(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._record(func, args, kwargs, None)

    def _record(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Mapping[str, Any] | None,
    ) -> None:
        self._check(*unfolded(func, args, kwargs))
        origin = origin_here()
        if origin is not None and isinstance(origin.collection, RequestBackgroundTasks):
            origin.collection.refuse(func, args, kwargs, policy)
        self.recorded.append(AddedTask(func, args, kwargs))

    def _check(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        declaration = declared(func)
        service: type | None = None
        needs: Mapping[str, Any] = {}
        if declaration is None:
            refuse_placeholder(func)
        else:
            service, needs = declaration.service, needs_of(func, key_of)
            refuse_unfilled(func, lambda parameter: parameter.name in needs)
        refuse_unfit(func, args, kwargs, missing(func, needs, whole(func, args), kwargs), service)

    def add_with(
        self, policy: Mapping[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskReference:
        """Record a call; its policy is checked and not kept.

        Args:
            policy: as for `BackgroundTasks.add_with`, as the others are.
            func: likewise.
            args: likewise.
            kwargs: likewise.
        """
        refuse_timeout_of_sync(func, DEFAULT.changed(policy))
        self._record(func, args, kwargs, policy)
        return TaskReference()

    async def __call__(self) -> None:
        """Run nothing, also where a response has this as its background; `drain` runs what was recorded."""

    async def drain(self, *, only: Only = None) -> None:
        """Run what was recorded and has not been run, in order, with what that adds; the first error is raised.

        Args:
            only: a function, or several, of whose calls; None: all.

        Raises:
            BackgroundTasksUnavailable: it is a method of a service, or needs something else that a container supplies.
            TypeError: `only` is no function.
        """
        functions = chosen(only)
        while task := self._next(functions):
            task.stands("running")
            try:
                _refuse_unsupplied(task)
                await task()
            except Exception as error:
                task.stands("failed", error=error)
                raise
            task.stands("succeeded")

    def _next(self, functions: Chosen) -> AddedTask | None:
        left = (task for task in self.recorded if task.peek()[0] == "waiting" and is_meant(task.func, functions))
        return next(left, None)


def _refuse_unsupplied(task: AddedTask) -> None:
    declaration = declared(task.func)
    if declaration is None:
        return
    needs = missing(task.func, needs_of(task.func, key_of), whole(task.func, tuple(task.args)), task.kwargs)
    wanted = [*([] if declaration.service is None else ["its service"]), *map(repr, needs)]
    if wanted:
        raise BackgroundTasksUnavailable(
            f"{task.name} needs {', '.join(wanted)} of a container, which a fake does not have: run it by perform() of "
            "the fixture background_tasks"
        )
