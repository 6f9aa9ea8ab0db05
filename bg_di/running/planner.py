"""How a call is to run that is added here and now: planned, or refused in the stack of who adds it."""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, cast

from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Collection, Container
from bg_di.declaring.binding import bind, name_of
from bg_di.declaring.declare import Declaration, declared, refuse_timeout_of_sync
from bg_di.declaring.dependencies import missing, needs_of
from bg_di.declaring.placeholder import INJECTED, refuse_placeholder, refuse_unfilled
from bg_di.declaring.policy import DEFAULT
from bg_di.handing_over.destinations import Destinations
from bg_di.observing.observer import Observers

NOTHING: Final[Mapping[str, Any]] = {}
_NEEDS: Final = "__background_task_needs__"


class Planner:
    """Plans the calls that are added in one application.

    Args:
        container: supplies services and dependencies.
        observers: of each task and each attempt. If there are any, no call is a plain one.
        destinations: tell what runs here.

    Attributes:
        container: as given.
        destinations: likewise.
    """

    def __init__(self, container: Container, observers: Observers, destinations: Destinations) -> None:
        self.container = container
        self._observers = observers
        self.destinations = destinations

    def plan(
        self,
        collection: Collection,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Mapping[str, Any] | None,
    ) -> Plan | Declaration | None:
        """Plan a call that is added here and now.

        Args:
            collection: that it is added to.
            func, args, kwargs: the call.
            policy: what it has instead of what was declared; None if nobody said so.

        Returns:
            None if the call is a plain one; its declaration, if all that it has is a time or an outcome to go by. Both
            are run by the collection itself. With a `policy` it is always a plan.

        Raises:
            InvalidOptions: a policy is unknown, or cannot be kept; or nobody has configured its backend.
            TypeError: it does not take these arguments, the container cannot supply what it needs, or it cannot leave
                the process, where it would have to.
        """
        if isinstance(func, partial):
            func, args, kwargs = unfolded(func, args, kwargs)
        declaration = declared(func)
        plain = policy is None and not self._observers.listening
        if declaration is None:
            refuse_placeholder(func)
            if plain and self.destinations.stays:
                return None
            name, wanted, needs, service = name_of(func), DEFAULT, NOTHING, None
        else:
            name, wanted, service = declaration.name, declaration.policy, declaration.service
            needs = self.needs_of(func)
        if policy:
            wanted = wanted.changed(policy)
        stays = self.destinations.stays_here(name, wanted, declared=declaration is not None)
        if plain and stays and wanted.retry is None and not needs and service is None:
            return None if wanted == DEFAULT else declaration
        refuse_timeout_of_sync(func, wanted)
        if needs:
            kwargs = {name: value for name, value in kwargs.items() if value is not INJECTED}
            needs = missing(func, needs, args if service is None else (service, *args), kwargs)
        refuse_unfit(func, args, kwargs, needs, service)
        injector = self._injector(name, service, needs) if needs or service is not None else None
        plan = Plan(name, wanted, func, args, kwargs, service, needs, collection, injector)
        if not stays:
            module = self.container.module_of(self.container.injector_here())
            plan.outgoing = self.destinations.outgoing(plan, policy or NOTHING, module=module)
        return plan

    def _injector(self, name: str, service: type | None, needs: Mapping[str, Any]) -> Any:
        """What the adding code resolves from, if the task can be given there what it needs."""
        injector = self.container.injector_here()
        if service is not None:
            self.container.refuse_unsatisfied(injector, service, name)
        for key in needs.values():
            self.container.refuse_unsatisfied(injector, key, name)
        return injector

    def needs_of(self, func: Any) -> Mapping[str, Any]:
        """The parameters of a declared task that the container fills, by name."""
        # They are those of the function, in whichever application it is added.
        marks = getattr(func, "__func__", func).__dict__
        if _NEEDS not in marks:
            needs = needs_of(func, self.container.key_of)
            refuse_unfilled(func, lambda parameter: parameter.name in needs)
            marks[_NEEDS] = needs
        return cast(Mapping[str, Any], marks[_NEEDS])


def unfolded(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The call that a partial makes, unless it makes it in a way of its own; any other call as it is."""
    while isinstance(func, partial) and type(func).__call__ is partial.__call__:
        func, args, kwargs = func.func, (*func.args, *args), {**func.keywords, **kwargs}
    return func, args, kwargs


def refuse_unfit(
    func: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    needs: Mapping[str, Any],
    service: type | None,
) -> None:
    """Bind a call as it will be made, with something in the place of what the container supplies.

    Raises:
        TypeError: it does not take these arguments.
    """
    given = args if service is None else (INJECTED, *args)
    coroutine = bind(func, given, {**kwargs, **dict.fromkeys(needs, INJECTED)} if needs else kwargs)
    if coroutine is not None:
        coroutine.close()
