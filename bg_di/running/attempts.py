"""Run what is more than a plain call: with its dependencies, its timeout and its retries, each attempt for itself."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from bg_di.calls.overlay import overlay
from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Collection, Container
from bg_di.calls.steps import limited_by, run_in
from bg_di.calls.task import Attempt, enter_origin
from bg_di.declaring.binding import bind, is_async, name_of
from bg_di.declaring.declare import INJECTED, Declaration, declared, refuse_placeholder, refuse_timeout_of_sync
from bg_di.declaring.dependencies import missing, needs_of
from bg_di.declaring.policy import DEFAULT
from bg_di.declaring.retry import Retry
from bg_di.handing_over.destinations import Destinations
from bg_di.observing.observer import Observers
from bg_di.running.threads import Threads

UNLIMITED: Final = nullcontext()
NOTHING: Final[Mapping[str, Any]] = {}
# As in stamina.
_TIMEOUT_OF_RETRIES: Final = 45.0
_NEEDS: Final = "__background_task_needs__"


class Attempts:
    """Plans and performs the declared tasks of one application.

    Args:
        threads: where sync functions run.
        container: supplies services and dependencies.
        observers: of each task and each attempt. If there are any, no call is a plain one.
        destinations: tell what runs here.

    Attributes:
        container, destinations: as given.
    """

    def __init__(
        self, threads: Threads, container: Container, observers: Observers, destinations: Destinations
    ) -> None:
        self._threads = threads
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
        refuse_arguments(func, args, kwargs, needs, service)
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

    async def perform_one(self, plan: Plan, number: int) -> None:
        """Make one attempt, where there are others elsewhere: it and what it adds stand and fall together."""
        with self._observers.around_task(plan):
            await self._isolated(plan, number)

    def perform(self, plan: Plan) -> Coroutine[Any, Any, None]:
        """Run a planned task to its end, with all its attempts."""
        # One coroutine less, where that is all there is to it.
        single = plan.policy.retry is None and not self._observers.listening
        return self._attempt(plan, 1) if single else self._all_attempts(plan)

    async def _all_attempts(self, plan: Plan) -> None:
        with self._observers.around_task(plan):
            if plan.policy.retry is None:
                await self._attempt(plan, 1)
                return
            async for attempt in _attempts(plan.policy.retry):
                with attempt:
                    await self._isolated(plan, attempt.num)

    def needs_of(self, func: Any) -> Mapping[str, Any]:
        """The parameters of a declared task that the container fills, by name."""
        # They are those of the function, in whichever application it is added.
        marks = getattr(func, "__func__", func).__dict__
        if _NEEDS not in marks:
            marks[_NEEDS] = needs_of(func, self.container.key_of)
        needs: Mapping[str, Any] = marks[_NEEDS]
        return needs

    async def _isolated(self, plan: Plan, number: int) -> None:
        """One of several attempts: it sees nothing of the one before, and what it adds stands and falls with it."""
        origin, context = Attempt(plan.collection), copy_context()
        context.run(enter_origin, origin)
        try:
            await run_in(context, self._attempt(plan, number))
        except BaseException:
            origin.failure = f"attempt {number} of {plan.name}, which added it, failed"
            raise

    async def _attempt(self, plan: Plan, number: int) -> None:
        plan.attempt = number
        with self._observers.around_attempt(plan):
            if plan.injector is None:
                with _limited(plan):
                    await self._called(plan.func, plan.args, plan.kwargs)
                return
            scope = self.container.open(plan.injector, partial(plan.context, number))
            try:
                with _limited(plan):
                    supplied = {name: scope.get(key) for name, key in plan.needs.items()}
                    # Looked up on the instance: it may be a fake, whose own method counts.
                    func = plan.func if plan.service is None else getattr(scope.get(plan.service), plan.func.__name__)
                    await self._called(func, plan.args, {**plan.kwargs, **supplied})
            finally:
                if scope.has_to_close():
                    await scope.close(sys.exc_info())

    def _called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Awaitable[Any]:
        call: Awaitable[Any] = (
            func(*args, **kwargs) if is_async(func) else self._threads.call(partial(func, *args, **kwargs))
        )
        return call


def unfolded(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The call that a partial makes, unless it makes it in a way of its own; any other call as it is."""
    while isinstance(func, partial) and type(func).__call__ is partial.__call__:
        func, args, kwargs = func.func, (*func.args, *args), {**func.keywords, **kwargs}
    return func, args, kwargs


def refuse_arguments(
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


def _limited(plan: Plan) -> AbstractContextManager[None]:
    seconds = plan.policy.timeout_seconds
    if seconds is None:
        return UNLIMITED
    over = overlay()
    return limited_by(seconds, plan.name) if over is None else limited_by(seconds, plan.name, over.passing)


def _attempts(retry: Retry) -> Any:
    over = overlay()
    if over is not None:
        return over.attempts(retry, retry.timeout_or(_TIMEOUT_OF_RETRIES))
    import stamina  # an extra: `Retry` has made sure that it is there

    return stamina.retry_context(
        on=retry.on,
        attempts=retry.attempts,
        timeout=retry.timeout_or(_TIMEOUT_OF_RETRIES),
        wait_initial=retry.wait_initial,
        wait_max=retry.wait_max,
        wait_jitter=retry.wait_jitter,
        wait_exp_base=retry.wait_exp_base,
    )
