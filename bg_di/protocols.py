"""What the layers below ask of those above."""

from collections.abc import Callable, Mapping
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from bg_di.context import TaskContext, TaskReference


class Collection(Protocol):
    """What is known here of the collection that tasks are added to."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    def add_task(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None: ...

    def add_with(
        self, policy: Mapping[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskReference: ...

    async def __call__(self) -> None: ...


class Container(Protocol):
    """What is asked of the container of an application.

    The injector that the adding code resolves from is handed through as it is.
    """

    def key_of(self, annotation: Any) -> Any:
        """What ``Inject[...]`` asks for; None for any other annotation."""

    def injector_here(self) -> Any:
        """The injector that the running code resolves from."""

    def refuse_unsatisfied(self, injector: Any, key: Any, needed_by: str) -> None:
        """Raise a `TypeError` if `key` cannot be supplied to an attempt, as far as bindings can be read."""

    def attempt(
        self, injector: Any, context: Callable[[], TaskContext]
    ) -> AbstractAsyncContextManager[Callable[[Any], Any]]:
        """Open the scope of one attempt in the current context; it is entered as what resolves a key."""
        ...
