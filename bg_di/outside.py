"""Background tasks outside of any request: on the command line, in a scheduler, in start-up hooks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any, Final

from ellar.app import App

from bg_di.calls.task import Origin, enter_origin, leave_origin
from bg_di.collecting.background_tasks import BackgroundTasks
from bg_di.collecting.collection import RequestBackgroundTasks
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.module import BackgroundTasksModule
from bg_di.running.runner import Runner

# What stands in logs and failures where a request has its method and path.
_SCOPE: Final = {"type": "collect", "method": "COLLECT", "path": "outside"}


@asynccontextmanager
async def collect_background_tasks(app: App) -> AsyncGenerator[BackgroundTasks]:
    """Collect background tasks in a block of code, and run them at its end.

    ``async with collect_background_tasks(app) as tasks:``. Within the block the collection is current, as that of a
    request is, also for services and helpers. If the block raises, it is to its tasks what a failing handler is: they
    are dropped by name, unless ``when`` says otherwise. In logs and failures the method is ``"COLLECT"``, the path
    ``"outside"``.

    Args:
        app: the application whose container supplies what tasks need.

    Raises:
        BackgroundTasksUnavailable: the application does not have the module.
        BackgroundTasksNotAccepted: at the end, tasks could not be handed over to their engine.
    """
    module: Any = app.injector.get_module(BackgroundTasksModule)
    if module is None:
        raise BackgroundTasksUnavailable(
            "collect_background_tasks() got an application without background tasks: declare BackgroundTasksModule "
            "in its root module"
        )
    runner = module.get(Runner)
    tasks = RequestBackgroundTasks(runner, _SCOPE)
    block = Origin(tasks)
    token = enter_origin(block)
    with runner.ledger.open(tasks):
        try:
            yield app.injector.get(BackgroundTasks)
        except Exception as error:
            block.failure = f"its block failed with {type(error).__name__}"
            raise
        except BaseException as error:
            tasks.cut_off(error)
            raise
        finally:
            leave_origin(token)
            tasks.ending = True
            await tasks.drain()
            not_accepted = await tasks.handed_over()
        if not_accepted is not None:
            raise not_accepted
