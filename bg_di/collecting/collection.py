"""The tasks of one request: collected from anywhere in it, run in order when it has been answered."""

from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from contextvars import copy_context
from functools import partial
from threading import Lock
from time import time
from types import FunctionType
from typing import Any, Final

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di.backends.capabilities import IN_PROCESS
from bg_di.calls.context import TaskReference
from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Collection
from bg_di.calls.task import Origin, Task, Waiting, calls_in, collection_of, origin_here, within
from bg_di.collecting.background_tasks import BackgroundTasks
from bg_di.collecting.drain import NOTHING, Drain
from bg_di.declaring.binding import bind, is_async, lasts, refuse_arguments
from bg_di.declaring.declare import Declaration
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.handing_over.departures import Departures
from bg_di.running.runner import Runner

# Threads may be the first to add what goes to an engine at once.
_FIRST: Final = Lock()


class RequestBackgroundTasks(BackgroundTasks, Drain):
    """The collection of one request or WebSocket connection; one that stands for whichever is current.

    A service that outlives its first request (a singleton) keeps that request's object. So `add_task` looks
    which request is current, and hands on to its collection if that is another one.

    It is also the origin of what is added outside of the route and of tasks: by middleware, guards and
    exception handlers.

    Args:
        runner: runs the tasks.
        scope: the ASGI scope of the connection.

    Attributes:
        substitute: gives what the container binds instead, where somebody overrides the binding.
        is_served: whether a server has called the application for it.
        refusal: why the response has been refused, if it has: tasks that had to be accepted before were not.
    """

    substitute: Callable[[type[StarletteBackgroundTasks]], StarletteBackgroundTasks] | None
    refusal: str | None
    is_served = False

    def __init__(self, runner: Runner, scope: Mapping[str, Any]) -> None:
        # Set here what each request looks at: reading a default of the class costs several times as much.
        self.waiting = deque()
        self.substitute = self.failure = self.refusal = self.outgoing = None
        self.ending = self._draining = self._ended = False
        self._plain = NOTHING
        self._running = self._stopped = None
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

    def add_task(self, func: Any, /, *args: Any, **kwargs: Any) -> None:  # type: ignore[override]
        origin = origin_here()
        if origin is None or origin.collection is not self:
            self._instead(origin).add_task(func, *args, **kwargs)
            return
        running = self._running
        if running is not None and running[2] is origin and self._runner.stop_on_error:
            within(self._named(running), partial(self.add_task, func, *args, **kwargs))
            return
        # What `_add` does with a plain ``async def``, in place; and who adds many tasks mostly adds the same function.
        plan: Any = None
        if func is not self._plain:
            if not self.waiting:
                self._since = time()
            # Other callables need not be hashable.
            plan = self._runner.known.get(func, NOTHING) if type(func) is FunctionType else NOTHING
            if plan is NOTHING:
                self._add(origin, func, args, kwargs, None)
                return
            if plan is None:
                self._plain = func
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
            return self._instead(origin).add_with(policy, func, args, kwargs)
        running = self._running
        if running is not None and running[2] is origin and self._runner.stop_on_error:
            return within(self._named(running), partial(self.add_with, policy, func, args, kwargs))
        if not self.waiting:
            self._since = time()
        plan = self._add(origin, func, args, kwargs, policy)
        assert isinstance(plan, Plan), "a policy is given"
        return plan.reference

    def _instead(self, origin: Origin | None) -> Collection:
        """The collection that takes what is added to this one in `origin`, which is not of it."""
        if origin is None and self._ended:
            raise BackgroundTasksUnavailable(
                f"these are the background tasks of {self.method} {self.path}, which has ended, and no request is "
                "current here: add tasks before the request ends, or from one of its tasks"
            )
        return collection_of(origin)

    def _add(
        self,
        origin: Origin,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Mapping[str, Any] | None,
    ) -> Plan | Declaration | None:
        plan = self._runner.planner.plan(self, func, args, kwargs, policy)
        if isinstance(plan, Plan):
            coroutine = self._runner.attempts.perform(plan) if plan.outgoing is None else _handed_over()
        else:
            coroutine = self._bound(func, args, kwargs)
            self._remember(func, plan)
        call = coroutine, copy_context(), origin, func, args, kwargs, plan
        if plan is not None and plan.outgoing is not None:
            self._append_outgoing(call, plan)
        else:
            self.waiting.append(call)
        if self._ended:
            self._take_back(call)
        if self._runner.observers.listening:
            self._runner.added(call)
        return plan

    def refuse(
        self,
        func: Callable[..., Any],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        policy: Mapping[str, Any] | None = None,
    ) -> None:
        """Refuse what cannot be added here, as `add_task` does, and add nothing."""
        self._runner.planner.plan(self, func, args, kwargs, policy)

    def _append_outgoing(self, call: Waiting, plan: Plan | Declaration) -> None:
        if self.outgoing is None:
            with _FIRST:
                self.outgoing = self.outgoing or Departures(self._runner)
        if plan.policy.session is not None:
            self.outgoing.in_sessions.add(call)
            return
        # It runs elsewhere, and does not wait for what is before it here.
        self.waiting.appendleft(call)

    def _remember(self, func: Callable[..., Any], plan: Declaration | None) -> None:
        if type(func) is FunctionType and is_async(func):
            if lasts(func):
                self._runner.known[func] = plan
            elif plan is None:
                self._plain = func

    def _bound(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> Coroutine[Any, Any, Any]:
        return bind(func, args, kwargs) or self._runner.threads.call(partial(func, *args, **kwargs))

    def _take_back(self, call: Waiting) -> None:
        if not self.withdraw(call):
            return
        self._runner.ledger.forget(call)
        raise BackgroundTasksUnavailable(
            f"{Task(call).name} was added to {self.method} {self.path} after its background tasks had run: "
            "add tasks before the request ends, or from one of its tasks"
        )

    async def __call__(self) -> None:
        """Run what was collected so far, in a WebSocket connection. In a request this does nothing.

        There the tasks wait for the last byte of the response, also if somebody hands the collection to a
        response as its background or awaits it. It returns at once if the tasks are being run already, as it
        does inside of one.

        Raises:
            BackgroundTasksNotAccepted: tasks could not be handed over to their engine.
        """
        collection = collection_of(origin_here())
        if collection is not self:
            await collection()
        elif self._scope["type"] == "websocket":
            await self.drain(decided=False)
            if not self.ending:
                self._stopped = None
            error = await self.handed_over()
            if error is not None:
                raise error

    def add_here(self, call: Callable[[], Any]) -> None:
        """Add what was collected in another way than by `add_task`: it runs in the process, wherever others do."""
        self.add_with({"backend": IN_PROCESS}, call, (), {})

    async def run_apart(self, background: Callable[[], Any]) -> None:
        """Run the own background of a response, each of its tasks isolated as those of a collection are."""
        own = RequestBackgroundTasks(self._runner, self._scope)
        own.failure = self.refusal
        for call in calls_in(background):
            within(own, partial(own.add_here, call))
        with self._runner.ledger.open(own):
            await own.drain()


async def _handed_over() -> None: ...  # in the place of a call that does not run here
