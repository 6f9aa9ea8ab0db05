"""The interceptor around every operation: what was collected there is attached to the outgoing response.

Attached means: bound to the moment in which the response is complete. `execute` of Ellar's consumer returns
when the response and its own background are done, so nothing of it is wrapped, replaced or changed.
"""

from typing import Any

from ellar.app import App
from ellar.common import IExecutionContext, IInterceptorsConsumer
from injector import Binding, InstanceProvider, NoScope

from bg_di.edge.middleware import ConnectionTasks, Overrides
from bg_di.edge.own_background import reported_as_background
from bg_di.edge.parameter import adapted
from bg_di.runner import Runner
from bg_di.task import Origin, current_origin


class AttachingConsumer(IInterceptorsConsumer):
    """Wraps the consumer that an application has, its own or another plugin's.

    What a handler and its interceptors add stands and falls with it: if it raises, its tasks are dropped. That a
    client has gone is no failure.
    """

    def __init__(
        self, inner: IInterceptorsConsumer, *, runner: Runner, run_inside: bool, overrides: Overrides | None
    ) -> None:
        self._inner = inner
        self._runner = runner
        self._run_inside = run_inside
        self._overrides = overrides
        # By identity: Ellar hashes an operation in Python code. The original is kept, so its id stays taken.
        self._operations: dict[int, tuple[Any, Any]] = {}

    async def execute(self, context: IExecutionContext, route_operation: Any) -> Any:
        """Run an operation in Ellar's way, and its tasks when the last byte of its response has gone."""
        tasks = current_origin.get()
        if not isinstance(tasks, ConnectionTasks):
            # Somebody replaced the middleware stack that had our frame in it.
            return await self._inner.execute(context, route_operation)
        known = self._operations.get(id(route_operation)) or self._adapt(route_operation)
        route = Origin(tasks)
        tasks.routes += 1
        token = current_origin.set(route)
        try:
            await self._inner.execute(context, known[1])
            tasks.answered = self._run_inside
        except BaseException as error:
            if not await reported_as_background(error, tasks, self._runner):
                # What exception handlers add is theirs. (After a success nothing depends on it.)
                current_origin.reset(token)
                if not tasks.excuses(error):
                    route.failure = f"its handler failed with {type(error).__name__}"
                raise
        finally:
            if self._overrides is not None:
                self._overrides.adopt(route, tasks)
            tasks.routes -= 1
            if tasks.waiting and tasks.is_due():
                await tasks.drain()

    def _adapt(self, operation: Any) -> tuple[Any, Any]:
        known = self._operations[id(operation)] = operation, adapted(operation)
        return known


def wrap_interceptors_consumer(app: App, *, runner: Runner, run_inside: bool, overrides: Overrides | None) -> None:
    """Put ours around the consumer of `app`, whichever plugin's it is by now; later ones may wrap ours.

    Bound without a scope: a singleton's cached instance would be served instead.
    """
    inner = app.injector.get(IInterceptorsConsumer)
    consumer = AttachingConsumer(inner, runner=runner, run_inside=run_inside, overrides=overrides)
    binding = Binding(IInterceptorsConsumer, InstanceProvider(consumer), NoScope)
    core: Any = app.injector.parent
    core.container.register_binding(IInterceptorsConsumer, binding)
