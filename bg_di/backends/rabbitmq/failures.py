"""What goes wrong with a broker, in words that help, and without any address's password."""

import asyncio
from typing import Final

from aiormq.exceptions import AMQPError, ProbableAuthenticationError

# What the client raises when a connection fails. It rejects with a cancellation what waits while it gives one up, and
# with a RuntimeError what comes too late. Where somebody greets and hangs up at once, its iteration over frames ends.
FAILURES: Final = (AMQPError, OSError, RuntimeError, StopAsyncIteration, asyncio.CancelledError)


def is_cancelled(error: BaseException) -> bool:
    """Whether it is the running task that is cancelled, and not a connection that has been given up."""
    task = asyncio.current_task()
    return isinstance(error, asyncio.CancelledError) and task is not None and task.cancelling() > 0


def unless_cancelled(error: BaseException) -> None:
    """Let a cancellation of the running task go on."""
    if is_cancelled(error):
        raise error


def why(error: BaseException) -> str:
    """What is wrong with a broker that cannot be used."""
    if isinstance(error, TimeoutError):
        return "does not answer in time"
    if isinstance(error, ProbableAuthenticationError):
        return "does not let this user in: look at the user, the password and the vhost in the URL"
    if isinstance(error, asyncio.CancelledError):
        return "has not given any sign of life, and the connection is given up"
    if isinstance(error, StopAsyncIteration):
        return "has hung up before it let anybody in"
    return f"cannot be used: {_words(error)}"


def _words(error: BaseException) -> str:
    return ", ".join(map(str, error.args)) or type(error).__name__
