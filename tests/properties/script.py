"""One request of a generated program: what its code does, and when its client leaves."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum, auto


@dataclass(frozen=True)
class Call:
    """A background task: each attempt first adds further ones, then it may fail.

    Attributes:
        how: ``"async"``, ``"suspending"`` or ``"sync"``.
        fails: how many attempts fail.
        adds: what each attempt adds.
        kind: a ``"closure"`` or a ``"function"`` of a module; or a ``"declared"`` one, which may ``"inject"`` a
            parameter, or be a method of a ``"service"``.
        when, attempts: its policy.
        using: whether the policy is given by `using`; if not, it was declared, if it could be.
    """

    how: str = "async"
    fails: int = 0
    adds: tuple["Call", ...] = ()
    kind: str = "closure"
    when: str = "success"
    attempts: int = 1
    using: bool = False

    @property
    def uses(self) -> bool:
        """Whether it is added by `using`, as it has a policy and nothing that could have been declared."""
        undeclared = self.kind in ("closure", "function")
        return self.using or (undeclared and (self.when != "success" or self.attempts > 1))


def numbered(calls: tuple[Call, ...], adder: str) -> list[tuple[Call, str]]:
    """Each task with its name, which says who added it."""
    return [(call, f"{adder}.{number}") for number, call in enumerate(calls)]


def attempted(name: str, attempt: int) -> str:
    """Who adds what an attempt adds."""
    return name if attempt == 1 else f"{name}~{attempt}"


class Place(Enum):
    """Where tasks are added, in the order in which the code there runs."""

    ASGI_MIDDLEWARE = auto()
    FUNCTION_MIDDLEWARE = auto()
    APPLICATION_MIDDLEWARE = auto()
    MODULE_MIDDLEWARE = auto()
    MOUNTED = auto()
    GUARD = auto()
    INTERCEPTOR = auto()
    CONSTRUCTOR = auto()
    SINGLETON = auto()
    TRANSIENT = auto()
    SCOPED = auto()
    HANDLER = auto()
    AFTER_HANDLER = auto()  # the interceptor again
    STREAM = auto()
    AFTER_MODULE = auto()
    AFTER_APPLICATION = auto()
    EXCEPTION_HANDLER = auto()
    AFTER_ASGI = auto()


class Ending(Enum):
    """What the code of a request comes to, if its client stays."""

    RETURNS = auto()
    REFUSED = auto()  # by the guard
    RAISES = auto()
    RAISES_HANDLED = auto()  # an exception that has a handler
    RAISES_RESCUED = auto()  # the interceptor catches it and returns a result
    BREAKS = auto()  # the stream raises after its first chunk


@dataclass(frozen=True)
class Script:
    """The code of a route.

    Attributes:
        handler: its kind; ``"mounted"`` is one in a mounted Starlette application.
        result: the kind of what it returns.
        ending: how it ends.
        own: the response's own background.
        added: which tasks are added where.
    """

    handler: str
    result: str
    ending: Ending
    own: Call | None
    added: Mapping[Place, tuple[Call, ...]]

    @property
    def messages(self) -> int:
        """How many messages of ASGI its response is."""
        return 4 if self.result == "stream" and self.ending is Ending.RETURNS else 2


@dataclass(frozen=True)
class Leaving:
    """A client that leaves, if ever.

    Attributes:
        spec: the version of ASGI that the server speaks.
        after: how many messages of the response it gets; None if it stays.
        cancels: whether the server then cancels the request.
        slow: whether the server takes each message slowly.
    """

    spec: str
    after: int | None = None
    cancels: bool = False
    slow: bool = False

    def stops(self, message: int) -> bool:
        """Whether ``send`` raises at this message or before it, which only a server of 2.4 does."""
        return self.spec == "2.4" and self.after is not None and self.after < message
