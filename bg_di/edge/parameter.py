"""The parameter of a route function that asks for the collection.

Ellar fills it by a resolver, not by the injector, and computes the resolvers once for each route function, for
the whole process. So nothing of theirs is changed: an application that has the module runs a copy of the
operation with other resolvers, one that has not runs the original.
"""

import copy
from typing import Any, cast

from ellar.common import IExecutionContext
from ellar.common.params import add_default_resolver
from ellar.common.params.resolvers.base import ResolverResult
from ellar.common.params.resolvers.system_parameters import (
    BackgroundTasksParameter,
    ProviderParameterInjector,
    SystemParameterResolver,
)
from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di.collection import BackgroundTasks, current_tasks

KEYS: tuple[type[StarletteBackgroundTasks], ...] = (StarletteBackgroundTasks, BackgroundTasks)


class CurrentTasksParameter(SystemParameterResolver):
    """Fills a parameter with the collection of the current request, or with what overrides it."""

    async def resolve(self, ctx: IExecutionContext, **kwargs: Any) -> ResolverResult:
        # Ellar declares the annotation as optional; it is one of the two keys.
        tasks = current_tasks(cast(type[StarletteBackgroundTasks], self.type_annotation))
        return ResolverResult({self.parameter_name: tasks}, [], self.create_raw_data(tasks))


# For our own class only, which nobody can name without importing this: no other application is affected.
add_default_resolver(BackgroundTasks, CurrentTasksParameter)


def adapted(operation: Any) -> Any:
    """The operation to run instead of `operation`: itself if it does not ask for the collection."""
    resolvers = operation.endpoint_parameter_model.get_route_models()
    if not any(map(_asks_for_the_collection, resolvers)):
        return operation
    copied = copy.copy(operation)
    copied.endpoint_parameter_model = copy.copy(operation.endpoint_parameter_model)
    copied.endpoint_parameter_model._route_models = [  # noqa: SLF001  # there is no public way to set them
        CurrentTasksParameter()(resolver.parameter_name, resolver.type_annotation)
        if _asks_for_the_collection(resolver)
        else resolver
        for resolver in resolvers
    ]
    return copied


def _asks_for_the_collection(resolver: Any) -> bool:
    if type(resolver) is ProviderParameterInjector:
        return resolver.data in KEYS
    return type(resolver) is BackgroundTasksParameter
