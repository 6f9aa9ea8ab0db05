"""The tasks that fail, and what they raise."""

from collections.abc import Awaitable, Callable

from starlette.exceptions import HTTPException

from tests.servers.stage import cue, cue_in_thread


class HandledByModule(Exception):
    """The module of the routes has a handler for it."""


class HandledByApplication(Exception):
    """The whole application has a handler for it."""


ERRORS: dict[str, Callable[[str], Exception]] = {
    "ValueError": ValueError,
    "HTTPException": lambda detail: HTTPException(404, detail),
    "HandledByModule": HandledByModule,
    "HandledByApplication": HandledByApplication,
}


def argument() -> str:
    """What must not be logged; it is nowhere in the source, which tracebacks show."""
    return "-".join(("not", "for", "logs"))


def message(stage: str) -> str:
    """What errors say; so that they are recognised wherever they come up."""
    return f"raised for {stage}!"


async def fails(stage: str, error: str, _: str) -> None:
    await cue(stage, "task")
    raise ERRORS[error](message(stage))


def fails_in_thread(stage: str, error: str, _: str) -> None:
    cue_in_thread(stage, "task")
    raise ERRORS[error](message(stage))


FAILING: dict[str, Callable[[str, str, str], Awaitable[None] | None]] = {"async": fails, "sync": fails_in_thread}
