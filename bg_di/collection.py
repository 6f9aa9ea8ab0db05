"""The tasks of one request: collected from anywhere in it, run in order when it has been answered."""

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from inspect import CO_COROUTINE
from threading import Lock
from types import FunctionType
from typing import Any, Final

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di import log
from bg_di.background_tasks import BackgroundTasks
from bg_di.binding import bind, refuse_arguments
from bg_di.context import TaskReference
from bg_di.declare import Declaration
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.plan import Plan
from bg_di.protocols import Collection
from bg_di.runner import Runner, failure_of
from bg_di.steps import DONE, is_failure, limited, on_asyncio, pending_cancellations, resumed, run_limited
from bg_di.task import Origin, Task, Waiting, calls_in, collection_of, enter_origin, origin_here, within

NOTHING: Final = object()
# Threads of one task may be the first to add something at once.
_NAMING: Final = Lock()


class RequestBackgroundTasks(BackgroundTasks, Origin):
    """The collection of one request or WebSocket connection; one that stands for whichever is current.

    A service that outlives its first request (a singleton) keeps that request's object. So `add_task` looks
    which request is current, and hands on to its collection if that is another one.

    It is also the origin of what is added outside of the route and of tasks: by middleware, guards and
    exception handlers.

    Args:
        runner: runs the tasks.
        scope: the ASGI scope of the connection.

    Attributes:
        waiting: what has not started, in order.
        substitute: gives what the container binds instead, where somebody overrides the binding.
        ending: whether the connection is over, so that what is added is refused once nothing waits any more.
    """

    substitute: Callable[[type[StarletteBackgroundTasks]], StarletteBackgroundTasks] | None
    _task: tuple[Waiting, Task] | None = None
    _given_up = False
    _remembered: tuple[Any, Declaration | None] = NOTHING, None

    def __init__(self, runner: Runner, scope: Mapping[str, Any]) -> None:
        # Set here what each request looks at: reading a default of the class costs several times as much.
        self.waiting: deque[Waiting] = deque()
        self.substitute = None
        self.failure = None
        self.ending = self._draining = self._ended = False
        self._plain: Any = NOTHING
        self._running: Waiting | None = None
        self._stopped: Callable[[Task], None] | None = None
        self._runner = runner
        self._scope = scope

    @property
    def collection(self) -> Collection:  # type: ignore[override]
        """Itself. Not an attribute, which would be a cycle that only the garbage collector ends."""
        return self

    @property
    def tasks(self) -> tuple[Task, ...]:  # type: ignore[override]
        """What waits, in order. A tuple: a task that is appended past `add_task` would be lost."""
        return tuple(map(Task, self.waiting))

    @property
    def method(self) -> str:
        """The request's method; ``"WEBSOCKET"`` for a connection."""
        return str(self._scope.get("method", "WEBSOCKET"))

    @property
    def path(self) -> str:
        """The path of the request."""
        return str(self._scope["path"])

    def add_task(self, func: Any, /, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        origin = origin_here()
        if origin is None or origin.collection is not self:
            collection_of(origin).add_task(func, *args, **kwargs)
            return
        running = self._running
        if running is not None and running[2] is origin and self._runner.stop_on_error:
            within(self._named(running), partial(self.add_task, func, *args, **kwargs))
            return
        # What `_add` does with a plain ``async def``, in place; and who adds many tasks mostly adds the same function.
        plan = None
        if func is not self._plain:
            if type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE and not func.__dict__:
                self._plain = func
            elif (remembered := self._remembered)[0] is func:
                plan = remembered[1]
            else:
                self._add(origin, func, args, kwargs, None)
                return
        try:
            coroutine = func(*args, **kwargs)
        except TypeError as error:
            refuse_arguments(func, error)
        call = coroutine, copy_context(), origin, func, args, kwargs, plan
        self.waiting.append(call)
        # Looked at after the task was appended: a thread may add one in the moment in which the request ends,
        # and then either the last look into the queue has seen it or this one takes it back.
        if self._ended:
            self._take_back(call)

    def add_with(
        self, policy: Mapping[str, Any], func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> TaskReference:
        origin = origin_here()
        if origin is None or origin.collection is not self:
            return collection_of(origin).add_with(policy, func, args, kwargs)
        running = self._running
        if running is not None and running[2] is origin and self._runner.stop_on_error:
            return within(self._named(running), partial(self.add_with, policy, func, args, kwargs))
        plan = self._add(origin, func, args, kwargs, policy)
        assert isinstance(plan, Plan), "a policy is given"
        return plan.reference

    def _add(
        self,
        origin: Origin,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Mapping[str, Any] | None,
    ) -> Plan | Declaration | None:
        plan = self._runner.attempts.plan(self, func, args, kwargs, policy)
        if isinstance(plan, Plan):
            coroutine = self._runner.attempts.perform(plan)
        else:
            coroutine = self._bound(func, args, kwargs)
            if type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE:
                self._remember(func, plan)
        call = coroutine, copy_context(), origin, func, args, kwargs, plan
        self.waiting.append(call)
        if self._ended:
            self._take_back(call)
        return plan

    def _remember(self, func: FunctionType, plan: Declaration | None) -> None:
        if plan is None:
            self._plain = func
        else:
            self._remembered = func, plan

    def _bound(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        return bind(func, args, kwargs) or self._runner.threads.call(partial(func, *args, **kwargs))

    def _take_back(self, call: Waiting) -> None:
        try:
            self.waiting.remove(call)
        except ValueError:
            return
        call[0].close()
        raise BackgroundTasksUnavailable(
            f"{Task(call).name} was added to {self.method} {self.path} after its background tasks had run: "
            "add tasks before the request ends, or from one of its tasks"
        )

    async def __call__(self) -> None:
        """Run what was collected so far, in a WebSocket connection. In a request this does nothing.

        There the tasks wait for the last byte of the response, also if somebody hands the collection to a
        response as its background or awaits it. It returns at once if the tasks are being run already, as it
        does inside of one.
        """
        collection = collection_of(origin_here())
        if collection is not self:
            await collection()
        elif self._scope["type"] == "websocket":
            undecided: list[Waiting] = []
            try:
                await self.drain(undecided)
            finally:
                self.waiting.extendleft(reversed(undecided))
            if not self.ending:
                self._stopped = None

    # One coroutine for all tasks of a request: another one for each would cost as much as the task.
    async def drain(self, undecided: list[Waiting] | None = None) -> None:  # noqa: C901
        """Run what waits, and what that adds, in order, until nothing does.

        Args:
            undecided: takes what runs only if what added it fails, while that is not known; None if it is.

        Raises:
            BaseException: the cancellation of the request, or a request to exit. What was cut off and what never
                started is named.
        """
        if self._draining:
            return
        self._draining = True
        waiting, stop_on_error = self.waiting, self._runner.stop_on_error
        try:
            while waiting or self._last_look():
                call = waiting.popleft()
                coroutine, context, origin, _, _, _, plan = call
                if (self._stopped or origin.failure or plan) and not self._starts(call, undecided):
                    continue
                self._running = call
                # What is added where this task was, while it runs, is taken for its own. Only if what is behind it may
                # run although it fails does its context have to tell it from what else goes on there.
                if not stop_on_error:
                    context.run(enter_origin, self._named(call))
                cancellations = None
                try:
                    if plan is not None and plan.limit is not None and not on_asyncio():
                        cancellations = self._suspended()
                        await run_limited(context, coroutine, plan.limit, plan.name)
                        continue
                    # Most tasks never suspend: one call then is all of it. A coroutine around it would add as much as
                    # half of what the task costs from `add_task` to its end.
                    steps = coroutine.__await__()
                    yielded = context.run(next, steps, DONE)
                    if yielded is not DONE:
                        cancellations = self._suspended()
                        rest = resumed(context, steps, yielded)
                        await (rest if plan is None or plan.limit is None else limited(rest, plan.limit, plan.name))
                except BaseException as error:
                    if not is_failure(error, cancellations):
                        log.cut_off(Task(call), error)
                        raise
                    await self._fail(call, error)
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            self._draining = False
            self._running = self._task = None
            if self in self._runner.draining:
                self._runner.drained(self)

    def _suspended(self) -> int:
        # Before that nobody could see it run, nor cancel it.
        self._runner.draining.add(self)
        return pending_cancellations()

    def name_what_is_left(self) -> None:
        """Log what runs and what waits when the server shuts down."""
        for call in filter(None, (self._running, *self.waiting)):
            log.awaited(Task(call))

    def _last_look(self) -> bool:
        # In this order: a thread that adds a task now sees the end, or is seen here.
        self._ended = self.ending
        if not self.waiting:
            return False
        self._ended = False
        return True

    def _named(self, running: Waiting) -> Task:
        with _NAMING:
            if self._task is None or self._task[0] is not running:
                self._task = running, Task(running)
            return self._task[1]

    def _starts(self, call: Waiting, undecided: list[Waiting] | None) -> bool:
        """Whether it is the turn of a call that something is to be said of; if not, say it."""
        coroutine, _, origin, _, _, _, plan = call
        when = "success" if plan is None else plan.policy.when
        if when == "failure" and undecided is not None and not isinstance(origin, Task):
            undecided.append(call)
            return False
        if when == "success" and origin.failure is not None:
            log.dropped(Task(call), origin.failure)
        elif when == "failure" and origin.failure is None:
            log.dropped(Task(call), "what added it did not fail and when is 'failure'")
        elif self._stopped is not None and (self._given_up or when != "always"):
            self._stopped(Task(call))
        else:
            return True
        coroutine.close()
        return False

    async def _fail(self, call: Waiting, error: BaseException) -> None:
        task = self._named(call)
        task.failure = f"{task.name}, which added it, failed"
        if self._runner.stop_on_error:
            self._stopped = partial(log.skipped, failed=task.name)
        self._running = None
        self._runner.draining.add(self)
        await self._runner.report(failure_of(task, error), call[1])

    async def run_apart(self, background: Callable[[], Any]) -> None:
        """Run the own background of a response, each of its tasks isolated as those of a collection are."""
        own = RequestBackgroundTasks(self._runner, self._scope)
        for call in calls_in(background):
            within(own, partial(own.add_task, call))
        await own.drain()

    def cut_off(self, by: BaseException) -> None:
        """The connection has been given up: name what waits, and what is still added to it."""
        self._given_up = True
        self._stopped = partial(log.never_started, by=type(by).__name__)
        self._abandon(by)

    def _abandon(self, by: BaseException) -> None:
        while self.waiting:
            call = self.waiting.popleft()
            call[0].close()
            log.never_started(Task(call), type(by).__name__)
