"""Declare a task: a function, or a method of a service, with a name and a policy.

A function stays itself. On a class, a declared method is a function that knows its class, so that a container can
build the service where the task runs; on an instance it is the bound method. Tools that look for functions (autospec,
pydantic, documentation) find functions.
"""

import inspect
from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import FunctionType, MethodType
from typing import Any, ClassVar, Concatenate, Generic, ParamSpec, TypeVar, overload
from weakref import ref

from bg_di.declaring.binding import MARK, is_async, name_of
from bg_di.declaring.method import DeclaredMethod
from bg_di.declaring.placeholder import may_be_filled, refuse_unfilled
from bg_di.declaring.policy import Policy, When
from bg_di.declaring.retry import Retry
from bg_di.errors import InvalidOptions
from bg_di.values import Seconds

P = ParamSpec("P")
Q = ParamSpec("Q")
R = TypeVar("R", covariant=True)
S = TypeVar("S")
C = TypeVar("C", contravariant=True)


@dataclass(frozen=True, slots=True)
class Declaration:
    """What was declared.

    Attributes:
        name: what the task goes by.
        policy: when it runs, and how.
        owner: the class that it was looked up on, if it is a method. A class must not be kept by its methods' copies.
    """

    name: str
    policy: Policy
    owner: "ref[type] | None" = None
    # A call of which no more is to be known is run by the collection itself.
    is_plain: ClassVar = True
    outgoing: ClassVar[None] = None

    @property
    def service(self) -> type | None:
        """What the container builds: the class that it was looked up on, if it is a method."""
        return None if self.owner is None else self.owner()

    @property
    def limit(self) -> float | None:
        """Seconds that the collection gives the task to run; None without a limit."""
        return self.policy.timeout_seconds


class ServiceTask(Generic[C, Q, R]):
    """To type checkers: a declared method, looked up on its class. `add_task` takes it without its ``self``."""

    @abstractmethod
    def __call__(self, service: C, /, *args: Q.args, **kwargs: Q.kwargs) -> R: ...


class DeclaredTask(Generic[P, R]):
    """To type checkers: what `background_task` makes of a function."""

    @abstractmethod
    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R: ...

    @overload
    def __get__(self: "DeclaredTask[Concatenate[S, Q], R]", service: None, owner: type[S]) -> ServiceTask[S, Q, R]: ...
    @overload
    def __get__(
        self: "DeclaredTask[Concatenate[S, Q], R]", service: S, owner: type[S] | None = None
    ) -> Callable[Q, R]: ...
    @overload  # of a class method
    def __get__(self: "DeclaredTask[Concatenate[type[S], Q], R]", service: Any, owner: type[S]) -> Callable[Q, R]: ...
    @overload  # of a static method
    def __get__(self, service: Any, owner: Any = None) -> Callable[P, R]: ...
    def __get__(self, service: Any, owner: Any = None) -> Any: ...


@overload
def background_task(func: Callable[P, R], /) -> DeclaredTask[P, R]: ...
@overload
def background_task(
    *,
    name: str | None = None,
    when: When = "success",
    timeout: Seconds | None = None,
    retry: Retry | None = None,
    backend: str | None = None,
    delay: Seconds | None = None,
) -> Callable[[Callable[P, R]], DeclaredTask[P, R]]: ...
def background_task(func: Any = None, /, *, name: str | None = None, **policy: Any) -> Any:
    """Declare a function, or a method of a service, as a task.

    Args:
        func: the function, sync or async; also a class or static method.
        name: what the task goes by; default ``module:qualname``.
        **policy: when it runs, and how. ``when``: ``"success"`` (default) of the route or task that added it,
            ``"failure"``, or ``"always"``. ``timeout``: seconds, or a timedelta, for each attempt of an async task;
            default: no limit. ``retry``: a `Retry`; default: a failing one is not run again. ``backend``: the name of
            one in the option ``backends``; default: the option ``default_backend``. ``delay``: seconds, or a timedelta,
            from `add_task` on, before which an engine does not run it; default: none.

    Raises:
        InvalidOptions: an option is unknown or has a wrong value.
        TypeError: what is declared is not a function, or is a generator function; or a parameter has `INJECTED` as its
            default, and no ``Inject[...]`` as its annotation.
    """
    declared = Policy.of(policy)
    return partial(_declare, name=name, policy=declared) if func is None else _declare(func, name=name, policy=declared)


def declared(func: object) -> Declaration | None:
    """What `func` was declared as, and on which class it was looked up; None if it was not declared.

    Raises:
        TypeError: a decorator above `background_task` hides which class a method belongs to.
    """
    function: Any = func.__func__ if isinstance(func, MethodType) else func
    marks = getattr(function, "__dict__", {})
    declaration: Declaration | None = marks.get(MARK)
    if declaration is None:
        return None
    if type(marks.get("__wrapped__")) is DeclaredMethod:
        raise TypeError(
            f"add_task() cannot tell which service has the task {declaration.name}: another decorator is above "
            "@background_task; put @background_task on top"
        )
    return declaration


def _declare(func: Any, *, name: str | None, policy: Policy) -> Any:
    if isinstance(func, classmethod | staticmethod):
        _mark(func.__func__, name, policy)
        return func
    _mark(func, name, policy)
    in_a_class = "." in func.__qualname__.rpartition("<locals>.")[2]
    return DeclaredMethod(func) if in_a_class else func


def _mark(func: Any, name: str | None, policy: Policy) -> None:
    if type(func) is not FunctionType:
        raise TypeError(f"@background_task declares functions and methods, not {type(func).__name__!r}")
    if inspect.isgeneratorfunction(func) or inspect.isasyncgenfunction(func):
        raise TypeError(
            f"@background_task cannot declare the generator function {func.__qualname__}: nobody would iterate it; "
            "declare a function that does the iteration"
        )
    refuse_timeout_of_sync(func, policy)
    refuse_unfilled(func, may_be_filled, refusal="@background_task cannot declare")
    setattr(func, MARK, Declaration(name or f"{func.__module__}:{func.__qualname__}", policy))


def refuse_timeout_of_sync(func: Any, policy: Policy) -> None:
    """A thread cannot be stopped.

    Raises:
        InvalidOptions: `policy` has a timeout, and `func` is no async function.
    """
    if policy.timeout is not None and not (is_async(func) or inspect.iscoroutinefunction(func)):
        raise InvalidOptions(
            f"timeout={policy.timeout!r} cannot be kept for {name_of(func)}: it is a sync function, and a thread "
            "cannot be stopped; make it async, or leave the timeout out"
        )
