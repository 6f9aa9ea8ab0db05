"""The tasks of one request: collected from anywhere in it, run in order when it has been answered."""

from collections import deque
from collections.abc import Callable, Mapping
from contextvars import copy_context
from functools import partial
from inspect import CO_COROUTINE
from threading import Lock
from types import FunctionType
from typing import Any, Final, ParamSpec, cast

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di import log
from bg_di.binding import bind, refuse_arguments
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.runner import DONE, Runner, failure_of, is_failure, pending_cancellations, resumed
from bg_di.task import Call, Collection, Origin, Task, Waiting, calls_in, enter_origin, leave_origin, origin_here

P = ParamSpec("P")


class BackgroundTasks(StarletteBackgroundTasks):
    """Background tasks, in order.

    Ask for it by annotation, and it is the collection of the current request or WebSocket connection: what is
    added runs exactly once, after the last byte of the response. Built by hand, it works as Starlette's.
    """

    # Positional-only where Starlette's is not: a task may have an argument of that name.
    def add_task(  # type: ignore[override]
        self, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        """Add a call, to run after the response, behind what was added before it.

        Args:
            func: a function, sync or async, or any other callable. A sync one runs in a thread; if it returns
                an awaitable, that is awaited. Positional-only, so a task may have an argument of that name.
            *args, **kwargs: what it is called with.

        Raises:
            TypeError: it is not callable, cannot be a task, or does not take these arguments.
            BackgroundTasksUnavailable: no request is current here, or its tasks have ended.
        """
        self.tasks.append(Call(func, args, kwargs))


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

    def __init__(self, runner: Runner, scope: Mapping[str, Any]) -> None:
        # Set here what each request looks at: reading a default of the class costs several times as much.
        self.waiting: deque[Waiting] = deque()
        self.substitute = None
        self.failure = None
        self.ending = self._draining = self._ended = False
        self._latest: object = NOTHING
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

    def add_task(  # type: ignore[override]
        self, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs
    ) -> None:
        origin = origin_here()
        if origin is None or origin.collection is not self:
            collection_of(origin).add_task(func, *args, **kwargs)
            return
        running = self._running
        if running is not None and running[2] is origin and self._runner.stop_on_error:
            self.add_in(self._named(running), func, *args, **kwargs)
            return
        # What `bind` does with a plain ``async def``, in place. Who adds many tasks mostly adds the same function.
        if func is self._latest or (type(func) is FunctionType and func.__code__.co_flags & CO_COROUTINE):
            try:
                coroutine = func(*args, **kwargs)
            except TypeError as error:
                refuse_arguments(func, error)
            self._latest = func
        else:
            coroutine = bind(func, args, kwargs) or self._runner.in_thread(partial(func, *args, **kwargs))
        call = coroutine, copy_context(), origin, func, args, kwargs
        self.waiting.append(call)
        # Looked at after the task was appended: a thread may add one in the moment in which the request ends,
        # and then either the last look into the queue has seen it or this one takes it back.
        if self._ended:
            self._take_back(call)

    def add_in(self, origin: Origin, func: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> None:
        """Add a task as if `origin` were the current one."""
        token = enter_origin(origin)
        try:
            self.add_task(func, *args, **kwargs)
        finally:
            leave_origin(token)

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
            await self.drain()
            if not self.ending:
                self._stopped = None

    async def drain(self) -> None:
        """Run what waits, and what that adds, in order, until nothing does.

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
                coroutine, context, origin, _, _, _ = call
                if self._stopped is not None or origin.failure is not None:
                    self._pass_over(call)
                    continue
                self._running = call
                # What is added where this task was, while it runs, is taken for its own. Only if what is behind it may
                # run although it fails does its context have to tell it from what else goes on there.
                if not stop_on_error:
                    context.run(enter_origin, self._named(call))
                cancellations = None
                try:
                    # Most tasks never suspend: one call then is all of it. A coroutine around it would add as much as
                    # half of what the task costs from `add_task` to its end.
                    steps = coroutine.__await__()
                    yielded = context.run(next, steps, DONE)
                    if yielded is not DONE:
                        cancellations = self._suspended()
                        await resumed(context, steps, yielded)
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

    def _pass_over(self, call: Waiting) -> None:
        coroutine, _, origin, *_ = call
        coroutine.close()
        if origin.failure is not None:
            log.dropped(Task(call), origin.failure)
        else:
            assert self._stopped is not None, "it would have run"
            self._stopped(Task(call))

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
            own.add_in(own, call)
        await own.drain()

    def cut_off(self, by: BaseException) -> None:
        """The connection has been given up: name what waits, and what is still added to it."""
        self._stopped = partial(log.never_started, by=type(by).__name__)
        self._abandon(by)

    def _abandon(self, by: BaseException) -> None:
        while self.waiting:
            call = self.waiting.popleft()
            call[0].close()
            log.never_started(Task(call), type(by).__name__)


def collection_of(origin: Origin | None) -> Collection:
    """The collection that tasks added in `origin` go to.

    Raises:
        BackgroundTasksUnavailable: there is none.
    """
    if origin is None:
        raise BackgroundTasksUnavailable(
            "no request is current here, so nobody would run background tasks: add them inside a request or a "
            "WebSocket connection; a thread started by hand carries it with "
            "threading.Thread(target=contextvars.copy_context().run, args=(func, ...))"
        )
    return origin.collection


def current_background_tasks() -> BackgroundTasks:
    """The collection of the current request, for code that the container does not build.

    That is a mounted Starlette application, a function middleware, a helper deep in a call stack. Where the
    binding is overridden, it is what the container gives instead.

    Raises:
        BackgroundTasksUnavailable: no request is current here, or the application does not have the module.
    """
    return cast(BackgroundTasks, current_tasks(BackgroundTasks))


def current_tasks(key: type[StarletteBackgroundTasks]) -> StarletteBackgroundTasks:
    """The same for either key of the binding."""
    origin = origin_here()
    collection: Any = collection_of(None) if origin is None else origin.collection
    tasks: StarletteBackgroundTasks = collection if collection.substitute is None else collection.substitute(key)
    return tasks
