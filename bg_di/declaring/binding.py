"""Bind a call when it is added, so that a wrong one is refused in the stack of who adds it.

Calling an ``async def`` runs none of its code: the interpreter binds the arguments and makes the coroutine.
That is both the cheapest and the strictest check there is, so it is what happens at `add_task`. Any other
callable is bound by its signature, and called when the task runs.
"""

import functools
import inspect
from collections.abc import Callable, Coroutine, Mapping
from types import CodeType, FunctionType, MethodType
from typing import Any, Final, NoReturn

from starlette.background import BackgroundTask, BackgroundTasks

# What a declared function has, with its `name`.
MARK: Final = "__background_task__"


def bind(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Coroutine[Any, Any, Any] | None:
    """Check that `func` can be called so.

    Returns:
        The coroutine if `func` is an ``async def`` (a partial, a method or an instance of one too); None for
        any other callable.

    Raises:
        TypeError: `func` is not a callable that can be a task, or does not take these arguments.
    """
    if type(func) is not FunctionType:
        _refuse_other_than_functions(func)
    if not is_async(func):
        _refuse_generator(func)
        _check_arguments(func, args, kwargs)
        return None
    try:
        coroutine: Coroutine[Any, Any, Any] = func(*args, **kwargs)
    except TypeError as error:
        refuse_arguments(func, error)
    return coroutine


def is_async(func: Any) -> bool:
    """Whether calling `func` only makes a coroutine: it is an ``async def``, or a partial or method of one, say."""
    code = _code(func)
    return code is not None and bool(code.co_flags & inspect.CO_COROUTINE)


def lasts(func: Callable[..., Any]) -> bool:
    """Whether its module keeps it anyway; a function that was made in another one may keep what a request had."""
    return type(func) is FunctionType and not func.__code__.co_flags & inspect.CO_NESTED


def _code(func: Any) -> CodeType | None:
    """That of the plain function that runs when `func` is called, as far as it can be known."""
    while True:
        kind = type(func)
        if kind is FunctionType:
            code: CodeType = func.__code__
            return code
        if kind is functools.partial:
            func = func.func
        elif kind is MethodType:
            func = func.__func__
        elif type(kind.__call__) is FunctionType:
            func = kind.__call__
        else:
            return None


def _refuse_other_than_functions(func: object) -> None:
    if isinstance(func, BackgroundTasks):
        raise TypeError(
            f"add_task() takes a function and its arguments, not a {type(func).__name__}: add its tasks one by one"
        )
    if isinstance(func, BackgroundTask):
        raise TypeError(
            f"add_task() takes a function and its arguments, not a {type(func).__name__}: "
            "pass add_task(task.func, *task.args, **task.kwargs)"
        )
    if inspect.iscoroutine(func):
        raise TypeError(
            f"add_task() takes a function and its arguments, not a coroutine: pass add_task({func.__name__}, ...) "
            "without calling the function"
        )
    if not callable(func):
        raise TypeError(
            f"add_task() takes a function and its arguments, not {type(func).__name__!r}: pass a callable, "
            "not its name or what it returned"
        )


def _refuse_generator(func: object) -> None:
    code = _code(func)
    flags = 0 if code is None else code.co_flags
    if flags & (inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR) and not flags & inspect.CO_ITERABLE_COROUTINE:
        raise TypeError(
            f"add_task() cannot run the generator function {name_of(func)}: nobody would iterate it; "
            "pass a function that does the iteration"
        )


def _check_arguments(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
    signature = signature_of(func)
    if signature is None:
        return
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        refuse_arguments(func, error)


def signature_of(func: Callable[..., Any]) -> inspect.Signature | None:
    """The signature that a call of `func` must fit; None if it has none that can be read.

    What a decorator wraps is not looked at: the wrapper may supply arguments of its own.
    """
    try:
        return inspect.signature(_readable(func), follow_wrapped=False)
    except (TypeError, ValueError):
        return None


def _readable(func: Callable[..., Any]) -> Callable[..., Any]:
    """A proxy may have any attribute: from Python 3.13 on, a ``__signature__`` would even be called."""
    if isinstance(func, functools.partial) and type(func) is functools.partial:
        return functools.partial(_readable(func.func), *func.args, **func.keywords)
    makes_attributes = hasattr(type(func), "__getattr__")
    if makes_attributes and inspect.getattr_static(func, "__signature__", None) is None:
        return MethodType(type(func).__call__, func)
    return func


def refuse_arguments(func: Callable[..., Any], error: TypeError) -> NoReturn:
    raise TypeError(f"add_task() cannot call {name_of(func)}{taken(func)}: {error}") from None


def taken(func: Callable[..., Any]) -> str:
    """What a call takes, in words; without the service, which is no argument of it, and how the container is asked."""
    signature = signature_of(func)
    if signature is None:
        return "(...)"
    parameters = list(signature.parameters.values())
    declaration = getattr(func, "__dict__", {}).get(MARK)
    if declaration is not None and declaration.service is not None:
        parameters = parameters[1:]
    shown = [each.replace(annotation=each.empty) if _is_supplied(each) else each for each in parameters]
    return str(signature.replace(parameters=shown))


def _is_supplied(parameter: inspect.Parameter) -> bool:
    # What the annotation of one has, `Inject` of Ellar, is shown with its address in memory.
    return hasattr(parameter.annotation, "__metadata__")


def name_of(func: object) -> str:
    """Name a callable as it was declared, else ``module:qualname``; partials and instances by what they call or are."""
    # Not by its attributes in general: a proxy may have any.
    declaration = getattr(func, "__dict__", {}).get(MARK)
    if declaration is not None:
        return str(declaration.name)
    if isinstance(func, functools.partial):
        return name_of(func.func)
    if isinstance(func, MethodType):
        adopted = isinstance(func.__self__, BackgroundTask)
        return name_of(getattr(func.__self__, "func", type(func.__self__)) if adopted else func.__func__)
    named: Any = func if isinstance(getattr(func, "__qualname__", None), str) else type(func)
    return f"{getattr(named, '__module__', None) or 'builtins'}:{named.__qualname__}"
