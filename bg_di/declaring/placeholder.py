"""What stands where the container will supply something, and who is given it by mistake."""

import inspect
from collections.abc import Callable
from functools import partial
from types import FunctionType, MethodType
from typing import Any, Final, get_args

from bg_di.declaring.binding import name_of


class Injected:
    """Stands for what the container will supply: ``mailer: Inject[Mailer] = INJECTED``.

    So a parameter has a default to type checkers. Only a declared task is given the real one.
    """

    def __repr__(self) -> str:
        return "INJECTED"

    def __reduce__(self) -> str:
        return "INJECTED"  # by its name: nobody would know a copy

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(
            f"INJECTED has no {name!r}: what it stands for is supplied where a background task runs; who calls the "
            "function directly, as in a test, passes it"
        )


INJECTED: Final[Any] = Injected()
"""The default of a parameter that the container fills: ``mailer: Inject[Mailer] = INJECTED``.

Type checkers see a parameter that may be left out. In a function that is not declared nobody fills it, so such a task
is refused by `BackgroundTasks.add_task`.
"""


def refuse_placeholder(func: Any) -> None:
    """What is not declared is given nothing by the container.

    Raises:
        TypeError: a parameter of `func` has `INJECTED` as its default.
    """
    while isinstance(func, partial):
        func = func.func
    function = func.__func__ if isinstance(func, MethodType) else func
    if not isinstance(function, FunctionType):
        return  # it may have any attribute, as a proxy has
    defaults = *(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()
    if any(default is INJECTED for default in defaults):
        raise TypeError(
            f"add_task() cannot run {name_of(func)}: it has INJECTED as a default, which only a declared task is given "
            "something for; put @background_task on it"
        )


def refuse_unfilled(
    func: Callable[..., Any], is_filled: Callable[[inspect.Parameter], bool], *, refusal: str = "add_task() cannot run"
) -> None:
    """Refuse a declared task that nobody would fill a parameter of.

    Args:
        func: the function.
        is_filled: whether the container fills a parameter.
        refusal: what the message begins with.

    Raises:
        TypeError: a parameter has `INJECTED` as its default, and its annotation is no ``Inject[...]``.
    """
    for name, parameter in inspect.signature(inspect.unwrap(func)).parameters.items():
        if parameter.default is INJECTED and not is_filled(parameter):
            raise TypeError(
                f"{refusal} {name_of(func)}: its parameter {name!r} has INJECTED as its default, and its annotation "
                "does not say what the container is to supply; write Inject[...] around it"
            )


def may_be_filled(parameter: inspect.Parameter) -> bool:
    """Whether the container may fill a parameter, as far as its annotation tells where it stands.

    One that is text may name what is not there yet.
    """
    annotation = parameter.annotation
    said = annotation, *get_args(annotation)
    return isinstance(annotation, str) or any(hasattr(each, "__metadata__") for each in said)
