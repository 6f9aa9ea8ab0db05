"""A fake that records what was added and runs nothing."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any

from starlette.background import BackgroundTask

from bg_di.attempts import refuse_arguments, unfolded
from bg_di.background_tasks import BackgroundTasks, refuse_service
from bg_di.binding import name_of, signature_of
from bg_di.context import TaskReference
from bg_di.declare import INJECTED, declared, refuse_placeholder, refuse_timeout_of_sync
from bg_di.dependencies import missing, needs_of
from bg_di.edge.container import key_of
from bg_di.policy import DEFAULT
from bg_di.task import Call


class RecordingBackgroundTasks(BackgroundTasks):
    """Records tasks instead of running them.

    ``Test.create_test_module(…).override_provider(BackgroundTasks, use_value=RecordingBackgroundTasks())`` puts
    it in the place of every request's collection. What the real one refuses at `add_task`, this one refuses too.

    Attributes:
        recorded: every call that was added, in order; `drain` does not remove it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.recorded: list[BackgroundTask] = []
        self._drained = 0

    def _take(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._check(*unfolded(func, args, kwargs))
        self.recorded.append(Call(func, args, kwargs))

    def _check(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        declaration = declared(func)
        if declaration is None:
            refuse_placeholder(func)
        needs = {} if declaration is None else needs_of(func, key_of)
        service = None if declaration is None else declaration.service
        refuse_arguments(func, args, kwargs, missing(func, needs, _whole(func, args), kwargs), service)

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
        self._take(func, args, kwargs)
        return TaskReference()

    async def __call__(self) -> None:
        """Run nothing, also where a response has this as its background; `drain` runs what was recorded."""

    def all(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> list[BackgroundTask]:
        """The calls of `func` that were added, in order.

        Args:
            func: the function that was added; bound methods are equal if instance and function are.
            *args: arguments that the calls must have, matched as the signature binds them, so that ``f(1)`` is
                ``f(x=1)``. What is not given here may be anything.
            **kwargs: the same, by name.
        """
        return [task for task in self.recorded if task.func == func and _has_arguments(task, args, kwargs)]

    def one(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> BackgroundTask:
        """The only call of `func` that was added.

        Args:
            func: as for `all`.
            *args: likewise.
            **kwargs: likewise.

        Raises:
            AssertionError: there is none, or there are several; it shows what there was.
        """
        found = self.all(func, *args, **kwargs)
        if len(found) != 1:
            wanted = _shown(func, args, kwargs)
            raise AssertionError(f"expected one {wanted}, found {len(found)}; {self._shown_all()}")
        return found[0]

    def assert_not_added(self, func: Callable[..., Any], /) -> None:
        """Fail if a call of `func` was added.

        Raises:
            AssertionError: it shows what there was.
        """
        if self.all(func):
            raise AssertionError(f"{name_of(func)} was added; {self._shown_all()}")

    def assert_none(self) -> None:
        """Fail if anything was added.

        Raises:
            AssertionError: it shows what there was.
        """
        if self.recorded:
            raise AssertionError(f"expected no background task; {self._shown_all()}")

    async def drain(self) -> None:
        """Run what was recorded and has not been run, in order, with what that adds; the first error is raised.

        Raises:
            BackgroundTasksUnavailable: it is a method of a service, which a container would have to supply.
        """
        while self._drained < len(self.recorded):
            task = self.recorded[self._drained]
            self._drained += 1
            refuse_service(task.func)
            await task()

    def _shown_all(self) -> str:
        if not self.recorded:
            return "nothing was added"
        return "added:" + "".join(f"\n  {_shown(task.func, task.args, task.kwargs)}" for task in self.recorded)


def _has_arguments(task: BackgroundTask, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bool:
    signature = signature_of(task.func)
    if signature is None:
        given = tuple(task.args[: len(args)]), {key: task.kwargs.get(key) for key in kwargs}
        return given == (args, kwargs)
    wanted = _bound(signature.bind_partial(*_whole(task.func, args), **kwargs))
    actual = signature.bind_partial(*_whole(task.func, tuple(task.args)), **task.kwargs)
    actual.apply_defaults()
    have = _bound(actual)
    return all(name in have and have[name] == value for name, value in wanted.items())


def _whole(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Positional arguments as the signature has them: a method of a service is added without its ``self``."""
    declaration = declared(func)
    return args if declaration is None or declaration.service is None else (INJECTED, *args)


def _bound(bound: inspect.BoundArguments) -> dict[str, Any]:
    """Arguments by name; what went into ``**kwargs`` by its own name."""
    named = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name, {})
    return named


def _shown(func: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> str:
    shown = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"{name_of(func)}({', '.join(shown)})"
