"""A module that defines tasks, and imports others."""

from bg_di import background_task
from tests.listed.other import imported  # noqa: F401


@background_task(backend="durable")
async def plain(to: str) -> None: ...


@background_task(name="sync", backend="durable")
def sync(to: str) -> None: ...


def undeclared(to: str) -> None: ...


class Mailer:
    """A service with tasks."""

    @background_task(backend="durable")
    async def send(self, to: str) -> None: ...

    @background_task(name="of the class", backend="durable")
    @classmethod
    async def of_the_class(cls, to: str) -> None: ...

    @background_task(name="static", backend="durable")
    @staticmethod
    async def static(to: str) -> None: ...

    def undeclared(self) -> None: ...

    @property
    def costly(self) -> str:
        raise AssertionError("nobody asked for it")


class Special(Mailer):
    """One that inherits them, and defines none of its own."""


# Another name of one that is there.
alias = plain
