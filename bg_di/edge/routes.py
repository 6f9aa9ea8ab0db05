"""Function routes that belong to one application only."""

import copy
from typing import Any, cast

from ellar.app import App
from ellar.common.constants import MODULE_COMPONENT
from ellar.core.routing import RouteOperationBase
from ellar.core.routing.route_collections import RouteCollection
from ellar.reflect import reflect


def own_routes(app: App) -> None:
    """Give `app` copies of the function routes that its modules list.

    Ellar remembers which module a route belongs to by the route, and takes two for the same that have the same
    function and path. So a function that two applications list runs, in both, in the module and with the consumer
    of the one that was built last, which may not have background tasks at all.
    """
    app.router.routes = RouteCollection([_own(route) for route in app.router.routes.get_routes()])


def _own(route: Any) -> Any:
    if not isinstance(route, RouteOperationBase):
        return route
    owned: Any = copy.copy(route)
    identity = {"__eq__": object.__eq__, "__hash__": object.__hash__}
    owned.__class__ = type(type(route).__name__, (type(route),), identity)
    reflect.define_metadata(MODULE_COMPONENT, reflect.get_metadata(MODULE_COMPONENT, cast(Any, route)), owned)
    return owned
