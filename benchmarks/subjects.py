"""What is measured: one route, or one collection, with so many tasks."""

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Subject:
    """A stack that does one thing over and over.

    Attributes:
        stack: ``"ellar"`` (its built-in feature), ``"bg_di"``, the same with a ``"declared"`` task, a ``"timed"`` one
            or a method of a ``"service"``, with an ``"idle"`` observer or one that is ``"listening"``;
            ``"resolving"`` (a handler in plain Ellar that asks for that service, in the place of a task),
            ``"engined"`` (an application with a durable backend, which the request does not use),
            ``"fastapi"``, or ``"starlette"`` (its collection alone, without a request).
        tasks: how many are added to one request; a route with 0 does not ask for the collection at all.
    """

    stack: str
    tasks: int

    def __str__(self) -> str:
        return f"{self.stack}:{self.tasks}"

    @classmethod
    def of(cls, text: str) -> Self:
        """The subject that `str` gave `text` for."""
        stack, tasks = text.split(":")
        return cls(stack, int(tasks))


@dataclass(frozen=True, slots=True)
class Cost:
    """What one thing costs, or what it adds over another one."""

    subject: Subject
    over: Subject | None = None

    def subjects(self) -> set[Subject]:
        return {self.subject, self.over} if self.over else {self.subject}


def route(stack: str) -> Cost:
    """A request to the route that uses no tasks."""
    return Cost(Subject(stack, 0))


def request(stack: str, tasks: int) -> Cost:
    """A whole request with so many tasks."""
    return Cost(Subject(stack, tasks))


def added(stack: str, tasks: int) -> Cost:
    """What so many tasks add over the bare route of the same application."""
    return Cost(Subject(stack, tasks), over=Subject(stack, 0))


def alone(tasks: int) -> Cost:
    """Starlette's collection alone: made, filled and awaited."""
    return Cost(Subject("starlette", tasks))


def resolved() -> Cost:
    """What it adds to the bare route in plain Ellar that a handler asks for a service."""
    return Cost(Subject("resolving", 1), over=Subject("ellar", 0))
