"""Which calls are meant by a function and some of its arguments, and how calls are shown."""

import inspect
from collections.abc import Callable, Iterable, Mapping
from difflib import SequenceMatcher
from typing import Any, Final, cast

from starlette.background import BackgroundTask

from bg_di.declaring.binding import name_of, signature_of, taken
from bg_di.declaring.declare import declared
from bg_di.declaring.placeholder import INJECTED

Only = Callable[..., Any] | Iterable[Callable[..., Any]] | None
"""Of whose calls: of a function, or of several; None: of all."""

Chosen = tuple[Callable[..., Any], ...] | None
"""The same, looked at."""

_MISSING: Final = object()


class Wanted:
    """The calls of a function that have certain arguments.

    Args:
        func: the function that was added; bound methods are equal if instance and function are.
        args, kwargs: arguments that the calls must have, matched as the signature binds them, so that ``f(1)`` is
            ``f(x=1)``. What is not given here may be anything, and so may what is given as `unittest.mock.ANY`.

    Raises:
        TypeError: it is no function, or no call of it could have these arguments.
    """

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        _refuse_no_function(func)
        self._func = func
        self._args = args
        self._kwargs = kwargs
        self._arguments = _arguments(func, args, kwargs, defaults=False)

    def __str__(self) -> str:
        is_any = not self._args and not self._kwargs
        return name_of(self._func) if is_any else shown(self._func, self._args, self._kwargs)

    def matches(self, task: BackgroundTask) -> bool:
        """Whether a task is such a call."""
        return task.func == self._func and not self.differences(task)

    def differences(self, task: BackgroundTask) -> list[str]:
        """How the arguments of a call of the same function differ from those that are wanted, in words."""
        have = _arguments(task.func, tuple(task.args), task.kwargs, defaults=True)
        differing = [(name, value, have.get(name, _MISSING)) for name, value in self._arguments.items()]
        return [
            f"{name} is {'not given' if actual is _MISSING else repr(actual)}"
            # What is wanted comes first: `ANY` is equal to everything, but not everything knows that.
            for name, value, actual in differing
            if actual is _MISSING or value != actual
        ]

    def nearest(self, tasks: Iterable[BackgroundTask]) -> tuple[BackgroundTask, str] | None:
        """The call that somebody may have meant, and what is other about it; None if none is near."""
        tasks = list(tasks)
        same = [(task, self.differences(task)) for task in tasks if task.func == self._func]
        if same:
            task, differences = min(same, key=lambda each: len(each[1]))
            return task, "; ".join(differences) or "it has the same arguments"
        own = name_of(self._func)
        near = [(SequenceMatcher(None, own, name_of(task.func)).ratio(), index) for index, task in enumerate(tasks)]
        ratio, index = max(near, default=(0.0, 0))
        return (tasks[index], "it is another function") if ratio > _NEAR else None


# How much of two names has to be the same, of 1.
_NEAR: Final = 0.8


def chosen(only: Only) -> Chosen:
    """The functions that are meant.

    Raises:
        TypeError: it is neither a function nor several.
    """
    if only is None:
        return None
    is_one = callable(only) or isinstance(only, str) or not isinstance(only, Iterable)
    functions: tuple[Any, ...] = (only,) if is_one else tuple(cast(Iterable[Any], only))
    for each in functions:
        _refuse_no_function(each)
    return functions


def is_meant(func: Callable[..., Any], functions: Chosen) -> bool:
    """Whether a function is among those that are meant."""
    return functions is None or func in functions


def error_types(given: Any) -> tuple[type[BaseException], ...]:
    """The types of errors that are meant by a type or a tuple of types.

    Raises:
        TypeError: it is neither.
    """
    types: tuple[Any, ...] = given if isinstance(given, tuple) else (given,)
    for each in types:
        if not isinstance(each, type) or not issubclass(each, BaseException):
            raise TypeError(f"{each!r} is no type of errors: give ValueError, for example")
    return types


def _refuse_no_function(func: object) -> None:
    if not callable(func):
        raise TypeError(f"{func!r} is no function that could have been added: give the function itself")


def shown(func: Callable[..., Any], args: Iterable[Any], kwargs: Mapping[str, Any]) -> str:
    """A call, as it would be written."""
    arguments = [*map(repr, args), *(f"{key}={value!r}" for key, value in kwargs.items())]
    return f"{name_of(func)}({', '.join(arguments)})"


def whole(func: Callable[..., Any], args: tuple[Any, ...]) -> tuple[Any, ...]:
    """Positional arguments as the signature has them: a method of a service is added without its ``self``."""
    declaration = declared(func)
    return args if declaration is None or declaration.service is None else (INJECTED, *args)


def _arguments(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool
) -> dict[str, Any]:
    """Arguments by name; what went into ``**kwargs`` by its own name, and without a signature by position."""
    signature = signature_of(func)
    if signature is None:
        return {**{f"argument {index}": value for index, value in enumerate(args)}, **kwargs}
    try:
        bound = signature.bind_partial(*whole(func, args), **kwargs)
    except TypeError as error:
        raise TypeError(f"no call of {name_of(func)}{taken(func)} has these arguments: {error}") from None
    if defaults:
        bound.apply_defaults()
    named = dict(bound.arguments)
    for parameter in bound.signature.parameters.values():
        if parameter.kind is inspect.Parameter.VAR_KEYWORD:
            named |= named.pop(parameter.name, {})
    return {name: value for name, value in named.items() if value is not INJECTED}
