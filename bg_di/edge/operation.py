"""The operation that runs in the place of a route's own: its handler gets the collection by parameter.

Ellar fills parameters by resolvers, not by the injector, and computes these once for each route function, for the
whole process. So nothing of theirs is changed: an application that has the module runs a copy with other
resolvers, one that has not runs the original.
"""

import copy
from collections.abc import Awaitable
from typing import Any

from ellar.common import IExecutionContext
from ellar.common.constants import SCOPED_RESPONSE
from ellar.common.params import add_default_resolver
from ellar.common.params.resolvers.base import ResolverResult
from ellar.common.params.resolvers.system_parameters import (
    BackgroundTasksParameter,
    ProviderParameterInjector,
    SystemParameterResolver,
)
from starlette.background import BackgroundTasks as StarletteBackgroundTasks
from starlette.responses import Response

from bg_di.collecting.background_tasks import BackgroundTasks
from bg_di.collecting.current import current_tasks
from bg_di.edge.own_background import apart, isolated

# The constructor of a named tuple is Python code, and costs twice as much.
_new = tuple.__new__

KEYS: tuple[type[StarletteBackgroundTasks], ...] = (StarletteBackgroundTasks, BackgroundTasks)


class CurrentTasksParameter(SystemParameterResolver):
    """Fills a parameter with the collection of the current request, or with what overrides it."""

    async def resolve(self, ctx: IExecutionContext, **kwargs: Any) -> ResolverResult:
        key: Any = self.type_annotation  # Ellar declares it as optional; it is one of the two keys.
        given = {self.parameter_name: current_tasks(key)}
        return _new(ResolverResult, (given, [], given))


# For our own class only, which nobody can name without importing this: no other application is affected.
add_default_resolver(BackgroundTasks, CurrentTasksParameter)


class AttachedOperation:
    """Runs an operation so that its handler gets the collection, and its response's own background is apart.

    Args:
        operation: Ellar's, for HTTP or a WebSocket.
    """

    def __init__(self, operation: Any) -> None:
        # Kept, as it is looked up by its id: Ellar hashes an operation in Python code.
        self.original = operation
        self._operation = _with_tasks(operation)
        self.handle_request = self._operation.handle_request

    def handle_response(self, context: Any, response_obj: Any) -> Awaitable[None]:
        """Make the response of what the handler returned, and send it."""
        if isinstance(response_obj, Response):
            response_obj = isolated(response_obj)
        elif SCOPED_RESPONSE in context.scope:
            # The one that Ellar injects into a handler is this request's own.
            injected = context.scope[SCOPED_RESPONSE]
            injected.background = apart(injected.background)
        handled: Awaitable[None] = self._operation.handle_response(context, response_obj)
        return handled

    def __getattr__(self, name: str) -> Any:
        return getattr(self._operation, name)


def _with_tasks(operation: Any) -> Any:
    resolvers = operation.endpoint_parameter_model.get_route_models()
    asking = [resolver for resolver in resolvers if _asks_for_the_collection(resolver)]
    if not asking:
        return operation
    copied = copy.copy(operation)
    copied.endpoint_parameter_model = copy.copy(operation.endpoint_parameter_model)
    copied.endpoint_parameter_model._route_models = [  # noqa: SLF001  # there is no public way to set them
        resolver for resolver in resolvers if resolver not in asking
    ]
    parameters = [(resolver.parameter_name, resolver.type_annotation) for resolver in asking]
    run = copied.run

    def run_with_tasks(context: Any, kwargs: dict[str, Any]) -> Any:
        # Another resolver in Ellar's loop would cost twice as much.
        for name, key in parameters:
            kwargs[name] = current_tasks(key)
        return run(context, kwargs)

    copied.run = run_with_tasks
    return copied


def _asks_for_the_collection(resolver: Any) -> bool:
    if type(resolver) is ProviderParameterInjector:
        return resolver.data in KEYS
    return type(resolver) in {BackgroundTasksParameter, CurrentTasksParameter}
