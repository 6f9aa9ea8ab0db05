"""Run what is more than a plain call: with its dependencies, its timeout and its retries, each attempt for itself."""

import sys
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractContextManager, nullcontext
from contextvars import copy_context
from functools import partial
from typing import Any, Final

from bg_di.calls.overlay import overlay
from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Container
from bg_di.calls.steps import limited_by, run_in
from bg_di.calls.task import Attempt, enter_origin
from bg_di.declaring.binding import is_async
from bg_di.declaring.retry import Retry
from bg_di.observing.observer import Observers
from bg_di.running.threads import Threads

UNLIMITED: Final = nullcontext()
# As in stamina.
_TIMEOUT_OF_RETRIES: Final = 45.0


class Attempts:
    """Performs the planned tasks of one application.

    Args:
        threads: where sync functions run.
        container: supplies services and dependencies.
        observers: of each task and each attempt.
    """

    def __init__(self, threads: Threads, container: Container, observers: Observers) -> None:
        self._threads = threads
        self._container = container
        self._observers = observers

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
            async for attempt in _attempts(plan.policy.retry, plan.name):
                with attempt:
                    await self._isolated(plan, attempt.num)

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
            scope = self._container.open(plan.injector, partial(plan.context, number))
            try:
                with _limited(plan):
                    kwargs = _with_needs(plan, scope) if plan.needs else plan.kwargs
                    # Looked up on the instance: it may be a fake, whose own method counts.
                    func = plan.func if plan.service is None else getattr(scope.get(plan.service), plan.func.__name__)
                    await self._called(func, plan.args, kwargs)
            finally:
                if scope.has_to_close():
                    await scope.close(sys.exc_info())

    def _called(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> Awaitable[Any]:
        call: Awaitable[Any] = (
            func(*args, **kwargs) if is_async(func) else self._threads.call(partial(func, *args, **kwargs))
        )
        return call


def _with_needs(plan: Plan, scope: Any) -> Mapping[str, Any]:
    return {**plan.kwargs, **{name: scope.get(key) for name, key in plan.needs.items()}}


def _limited(plan: Plan) -> AbstractContextManager[None]:
    seconds = plan.policy.timeout_seconds
    if seconds is None:
        return UNLIMITED
    over = overlay()
    return limited_by(seconds, plan.name) if over is None else limited_by(seconds, plan.name, over.passing)


def _attempts(retry: Retry, name: str) -> Any:
    over = overlay()
    if over is not None:
        return over.attempts(retry, retry.timeout_or(_TIMEOUT_OF_RETRIES))
    import stamina  # an extra: `Retry` has made sure that it is there

    attempts = stamina.retry_context(
        on=retry.on,
        attempts=retry.attempts,
        timeout=retry.timeout_or(_TIMEOUT_OF_RETRIES),
        wait_initial=retry.wait_initial,
        wait_max=retry.wait_max,
        wait_jitter=retry.wait_jitter,
        wait_exp_base=retry.wait_exp_base,
    )
    # So that the lines of stamina name the task. It is what stamina's decorator does, and documented nowhere.
    return getattr(attempts, "with_name", lambda *_: attempts)(name, (), {})
