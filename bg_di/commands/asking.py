"""What engines are asked from outside the application, which is not started for it."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from bg_di.backends import Capability, Engine
from bg_di.backends.capabilities import incapable
from bg_di.commands.application import Application
from bg_di.commands.outcome import CommandFailed

Answer = TypeVar("Answer")


def ask(application: Application, names: Sequence[str], question: Callable[[Mapping[str, Engine]], Answer]) -> Answer:
    """Open engines, ask them, and close them.

    Args:
        application: whose they are.
        names: of the engines.
        question: gets them by name, in a thread: an engine may need its event loop to answer.
    """
    return asyncio.run(_ask(application, names, question))


async def _ask(
    application: Application, names: Sequence[str], question: Callable[[Mapping[str, Engine]], Answer]
) -> Answer:
    engines = application.engines
    try:
        return await asyncio.to_thread(question, {name: engines.of(name) for name in names})
    finally:
        await engines.close()


def able(application: Application, names: Sequence[str], need: Capability) -> tuple[list[str], list[str]]:
    """Those of the chosen engines that have a capability, and those that have not."""
    chosen = application.chosen(names)
    can = [name for name in chosen if need in application.engines.backends[name].capabilities]
    return can, [name for name in chosen if name not in can]


def some_able(application: Application, names: Sequence[str], need: Capability) -> tuple[list[str], list[str]]:
    """Those of the chosen engines that have a capability, at least one, and those that have not.

    Raises:
        CommandFailed: none has.
    """
    can, unable = able(application, names, need)
    if not can:
        raise CommandFailed(f"{incapable(unable, need)}: ask the engine itself")
    return can, unable
