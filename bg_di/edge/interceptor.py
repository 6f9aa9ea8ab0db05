"""The interceptor around every operation: what was collected there is attached to the outgoing response.

Attached means: bound to the moment in which the response is complete. `execute` of Ellar's consumer returns
when the response and its own background are done, so nothing of it is wrapped, replaced or changed.
"""

from typing import Any

from ellar.app import App
from ellar.common import IInterceptorsConsumer
from injector import Binding, Injector, NoScope, Provider

from bg_di.calls.task import Origin, enter_origin, leave_origin, origin_here
from bg_di.edge.connection import ConnectionTasks
from bg_di.edge.operation import AttachedOperation


class AttachingConsumer(IInterceptorsConsumer):
    """Wraps the consumer that an application has, its own or another plugin's.

    What a handler and its interceptors add stands and falls with it: if it raises, its tasks are dropped. That a
    client has gone is no failure.
    """

    def __init__(self, inner: IInterceptorsConsumer) -> None:
        self._inner = inner
        self._operations: dict[int, AttachedOperation] = {}

    async def execute(self, context: Any, route_operation: Any) -> Any:
        """Run an operation in Ellar's way, and its tasks when the last byte of its response has gone."""
        origin = origin_here()
        # Usually the connection itself; a route if the application has been called twice in one request.
        tasks = origin if type(origin) is ConnectionTasks or origin is None else origin.collection
        if type(tasks) is not ConnectionTasks or tasks.frame.application is not context.scope["app"]:
            # Somebody replaced the middleware stack that had our frame in it; or Ellar took this consumer for the
            # request of another application, which does not have the module.
            return await self._inner.execute(context, route_operation)
        try:
            operation: Any = self._operations[id(route_operation)]
        except KeyError:
            operation = self._attach(route_operation)
        route = Origin(tasks)
        tasks.routes += 1
        token = enter_origin(route)
        try:
            await self._inner.execute(context, operation)
            tasks.answered = True
        except BaseException as error:
            # What exception handlers add is theirs. After a success it is nobody's loss to have been added here.
            leave_origin(token)
            if not tasks.excuses(error):
                route.failure = _reason(error)
            raise
        finally:
            if tasks.refusal is not None:
                route.failure = tasks.refusal
            if tasks.frame.overrides is not None:
                tasks.frame.overrides.adopt(route, tasks)
            tasks.routes -= 1
            if (tasks.waiting or tasks.ending) and tasks.is_due():
                await tasks.drain()

    def __repr__(self) -> str:
        # Ellar formats what it looked up, for each request. The default for objects takes longer than `execute`.
        return type(self).__name__

    def _attach(self, operation: Any) -> AttachedOperation:
        attached = self._operations[id(operation)] = AttachedOperation(operation)
        return attached


def _reason(error: BaseException) -> str:
    return (
        f"its route failed with {type(error).__name__}" if isinstance(error, Exception) else "its route was cancelled"
    )


class _Given(Provider[IInterceptorsConsumer]):
    """Provides one object."""

    def __init__(self, consumer: IInterceptorsConsumer) -> None:
        self._consumer = consumer

    def get(self, injector: Injector) -> IInterceptorsConsumer:
        return self._consumer

    __repr__ = AttachingConsumer.__repr__


def wrap_interceptors_consumer(app: App) -> None:
    """Put ours around the consumer of `app`, whichever plugin's it is by now; later ones may wrap ours.

    Bound without a scope: a singleton's cached instance would be served instead.
    """
    consumer = AttachingConsumer(app.injector.get(IInterceptorsConsumer))
    core: Any = app.injector.parent
    core.container.register_binding(IInterceptorsConsumer, Binding(IInterceptorsConsumer, _Given(consumer), NoScope))
