"""Run what is more than a plain call: with its dependencies, its timeout and its retries, each attempt for itself."""

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from contextvars import copy_context
from functools import partial
from typing import Any
from weakref import WeakKeyDictionary

import anyio

from bg_di.binding import bind, is_async, name_of
from bg_di.declare import INJECTED, Declaration, declared, refuse_timeout_of_sync
from bg_di.dependencies import missing, needs_of
from bg_di.observer import Observers
from bg_di.plan import Plan
from bg_di.policy import DEFAULT, Retry
from bg_di.protocols import Collection, Container
from bg_di.steps import run_in, timed_out
from bg_di.task import Origin, enter_origin
from bg_di.threads import Threads


class Attempts:
    """Plans and performs the declared tasks of one application.

    Args:
        threads: where sync functions run.
        container: supplies services and dependencies.
        observers: of each task and each attempt. If there are any, no call is a plain one.
    """

    def __init__(self, threads: Threads, container: Container, observers: Observers) -> None:
        self._threads = threads
        self._container = container
        self._observers = observers
        self._needs: WeakKeyDictionary[Callable[..., Any], Mapping[str, Any]] = WeakKeyDictionary()

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
            InvalidOptions: a policy is unknown, or cannot be kept.
            TypeError: it does not take these arguments, or the container cannot supply what it needs.
        """
        func, args, kwargs = _unfolded(func, args, kwargs)
        declaration = declared(func)
        plain = policy is None and not self._observers
        if declaration is None and plain:
            return None
        wanted = (DEFAULT if declaration is None else declaration.policy).changed(policy or {})
        needs = {} if declaration is None else self._needs_of(func)
        service = None if declaration is None else declaration.service
        if plain and wanted.retry is None and not needs and service is None:
            return None if wanted == DEFAULT else declaration
        refuse_timeout_of_sync(func, wanted)
        kwargs = {name: value for name, value in kwargs.items() if value is not INJECTED}
        plan = Plan(
            name=name_of(func),
            policy=wanted,
            func=func,
            args=args,
            kwargs=kwargs,
            service=service,
            needs=missing(func, needs, (service, *args) if service else args, kwargs),
            collection=collection,
        )
        refuse_arguments(func, args, kwargs, plan.needs, service)
        if plan.service is not None or plan.needs:
            plan.injector = self._container.injector_here()
            for key in (*filter(None, (plan.service,)), *plan.needs.values()):
                self._container.refuse_unsatisfied(plan.injector, key, plan.name)
        return plan

    async def perform(self, plan: Plan) -> None:
        """Run a planned task to its end, with all its attempts."""
        with self._observers.around_task(plan):
            if plan.policy.retry is None:
                await self._attempt(plan, 1)
                return
            async for attempt in _attempts(plan.policy.retry):
                with attempt:
                    await self._isolated(plan, attempt.num)

    def _needs_of(self, func: Any) -> Mapping[str, Any]:
        function = getattr(func, "__func__", func)
        needs = self._needs.get(function)
        if needs is None:
            needs = self._needs[function] = needs_of(function, self._container.key_of)
        return needs

    async def _isolated(self, plan: Plan, number: int) -> None:
        """One of several attempts: it sees nothing of the one before, and what it adds stands and falls with it."""
        origin, context = Origin(plan.collection), copy_context()
        context.run(enter_origin, origin)
        try:
            await run_in(context, self._attempt(plan, number))
        except BaseException:
            origin.failure = f"attempt {number} of {plan.name}, which added it, failed"
            raise

    async def _attempt(self, plan: Plan, number: int) -> None:
        plan.attempt = number
        with self._observers.around_attempt(plan):
            await self._once(plan, number)

    async def _once(self, plan: Plan, number: int) -> None:
        if plan.injector is None:
            with _limited(plan):
                await self._call(plan.func, plan.args, plan.kwargs)
            return
        async with self._container.attempt(plan.injector, partial(plan.context, number)) as get:
            with _limited(plan):
                supplied = {name: get(key) for name, key in plan.needs.items()}
                # Looked up on the instance: it may be a fake, whose own method counts.
                func = plan.func if plan.service is None else getattr(get(plan.service), plan.func.__name__)
                await self._call(func, plan.args, {**plan.kwargs, **supplied})

    async def _call(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        if is_async(func):
            await func(*args, **kwargs)
        else:
            await self._threads.call(partial(func, *args, **kwargs))


def _unfolded(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Any:
    """The call that a partial makes."""
    while isinstance(func, partial):
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
    coroutine = bind(func, given, {**kwargs, **dict.fromkeys(needs, INJECTED)})
    if coroutine is not None:
        coroutine.close()


@contextmanager
def _limited(plan: Plan) -> Generator[None]:
    seconds = plan.policy.timeout_seconds
    if seconds is None:
        yield
        return
    with anyio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise timed_out(plan.name, seconds) from None


def _attempts(retry: Retry) -> Any:
    import stamina  # an extra: `Retry` has made sure that it is there

    return stamina.retry_context(
        on=retry.on,
        attempts=retry.attempts,
        timeout=retry.timeout,
        wait_initial=retry.wait_initial,
        wait_max=retry.wait_max,
        wait_jitter=retry.wait_jitter,
        wait_exp_base=retry.wait_exp_base,
    )
