"""A declared method in its class: on the class a function that knows it, on an instance the bound method."""

from dataclasses import replace
from functools import update_wrapper
from types import FunctionType
from typing import Any
from weakref import WeakKeyDictionary, ref

from bg_di.declaring.binding import MARK


class DeclaredMethod:
    """A declared method in its class. It passes for a function, to tools and to decorators above it."""

    __slots__ = ("__weakref__", "_copies", "_func")

    def __init__(self, func: FunctionType) -> None:
        object.__setattr__(self, "_func", func)
        object.__setattr__(self, "_copies", WeakKeyDictionary())

    # The owner is told at each access: a class may be made anew, as by `dataclass(slots=True)`, or inherit.
    def __get__(self, service: object, owner: Any = None) -> Any:
        if service is not None:
            return self._func.__get__(service, owner)
        copy = self._copies.get(owner)
        return self._copies.setdefault(owner, _copy(self._func, owner)) if copy is None else copy

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._func(*args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._func, name)

    def __setattr__(self, name: str, value: object) -> None:
        setattr(self._func, name, value)
        self._copies.clear()

    @property
    def __class__(self) -> type:
        return FunctionType

    @__class__.setter
    def __class__(self, value: type) -> None: ...


def _copy(func: FunctionType, owner: type) -> FunctionType:
    copy = FunctionType(func.__code__, func.__globals__, func.__name__, func.__defaults__, func.__closure__)
    copy.__kwdefaults__ = func.__kwdefaults__
    update_wrapper(copy, func)
    setattr(copy, MARK, replace(getattr(func, MARK), owner=ref(owner)))
    return copy
