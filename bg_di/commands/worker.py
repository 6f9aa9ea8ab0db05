"""``worker``: an application that does nothing but run what its engines deliver."""

import asyncio
import logging
import os
import signal
import threading
from argparse import Namespace
from collections.abc import Sequence
from typing import Final

from bg_di import log
from bg_di.commands.application import Application
from bg_di.commands.lifespan import running
from bg_di.commands.outcome import DONE, WrongUsage
from bg_di.edge.lifespan import WORKERS_ONLY

_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


def work(application: Application, arguments: Namespace) -> int:
    """Work until SIGTERM or SIGINT."""
    names = application.chosen(arguments.backend)
    if not application.tasks:
        raise WrongUsage(
            "the application lists no tasks, so that a worker would run none: name them by "
            "BackgroundTasksModule.setup(tasks=[...])"
        )
    _log_to_stderr()
    return _without_threads(asyncio.run(_work(application, names)))


def _without_threads(code: int) -> int:
    """End the process here if threads of tasks are left, which the interpreter would wait for."""
    left = [thread for thread in threading.enumerate() if not thread.daemon and thread is not threading.main_thread()]
    if left:
        log.threads_ended(len(left))
        logging.shutdown()
        os._exit(code)
    return code


def _log_to_stderr() -> None:
    """Show our own lines, if nobody has said where they go; Ellar shows its own."""
    if not log.logger.hasHandlers():
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
        log.logger.addHandler(handler)
        log.logger.setLevel(logging.INFO)


async def _work(application: Application, names: Sequence[str]) -> int:
    told_to_end = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end(given: signal.Signals) -> None:
        for each in _SIGNALS:
            loop.remove_signal_handler(each)
            # The next one ends the process at once. For what runs that is as if it had been killed.
            signal.signal(each, signal.SIG_DFL)
        told_to_end.set()
        log.worker_ends(given.name)

    for each in _SIGNALS:
        loop.add_signal_handler(each, end, each)
    async with running(application.app, {WORKERS_ONLY: frozenset(names)}):
        if not told_to_end.is_set():  # it may have been meanwhile
            log.worker_works(names, len(application.tasks))
        await told_to_end.wait()
    log.worker_ended()
    return DONE
