"""What the layers below ask of those above."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from bg_di.calls.context import TaskContext, TaskReference


class Collection(Protocol):
    """What is known here of the collection that tasks are added to."""

    @property
    def method(self) -> str: ...

    @property
    def path(self) -> str: ...

    @property
    def is_served(self) -> bool:
        """Whether a server has called the application for it; not so in a script."""
        ...

    def add_task(self, func: Callable[..., Any], /, *args: Any, **kwargs: Any) -> None: ...

    def add_with(
        self, policy: Mapping[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskReference: ...

    async def __call__(self) -> None: ...


class AttemptScope(Protocol):
    """What the container keeps for one attempt."""

    def get(self, key: Any, /) -> Any:
        """Resolve a key."""
        ...

    def has_to_close(self) -> bool:
        """Whether anything was built that has to be given back."""
        ...

    async def close(self, why: Any) -> None:
        """Give it back, with the error that ended the attempt, as `sys.exc_info` has it."""
        ...


class Container(Protocol):
    """What is asked of the container of an application.

    The injector that the adding code resolves from is handed through as it is.
    """

    def key_of(self, annotation: Any) -> Any:
        """What ``Inject[...]`` asks for; None for any other annotation."""

    def injector_here(self) -> Any:
        """The injector that the running code resolves from."""

    def module_of(self, injector: Any) -> str | None:
        """The name of the module whose injector that is, the same in every process; None for the root."""

    def injector_of(self, module: str | None) -> Any:
        """The injector of a module by its name; the root's for None.

        Raises:
            ModuleUnknown: there is none of that name here.
        """
        ...

    def enter(self, injector: Any) -> None:
        """Make an injector that which the running code resolves from."""

    def sessions_here(self) -> Sequence[Any]:
        """The database sessions that were built for the request, or the attempt, that the running code belongs to."""
        ...

    def refuse_unsatisfied(self, injector: Any, key: Any, needed_by: str) -> None:
        """Raise a `TypeError` if `key` cannot be supplied to an attempt, as far as bindings can be read."""

    def open(self, injector: Any, context: Callable[[], TaskContext]) -> "AttemptScope":
        """Open the scope of one attempt in the current context."""
        ...
