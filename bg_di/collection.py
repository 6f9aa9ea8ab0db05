"""The tasks of one request: collected from anywhere in it, run in order when it has been answered."""

from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, ParamSpec, cast

from starlette.background import BackgroundTasks as StarletteBackgroundTasks

from bg_di import log
from bg_di.errors import BackgroundTasksUnavailable
from bg_di.runner import Runner
from bg_di.task import Call, Collection, Origin, Task, calls_in, current_origin

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

    substitute: Callable[[type[StarletteBackgroundTasks]], StarletteBackgroundTasks] | None = None
    # Defaults of the class, as most requests add no task and change none of it.
    _failed: str | None = None
    _cut_off: str | None = None
    ending = False
    _draining = _ended = False
    _running: Task | None = None

    def __init__(self, runner: Runner, scope: Mapping[str, Any]) -> None:
        self.waiting: deque[Task] = deque()
        self._runner = runner
        self._scope = scope

    @property
    def collection(self) -> Collection:  # type: ignore[override]
        """Itself. Not an attribute, which would be a cycle that only the garbage collector ends."""
        return self

    @property
    def tasks(self) -> tuple[Task, ...]:  # type: ignore[override]
        """What waits, in order. A tuple: a task that is appended past `add_task` would be lost."""
        return tuple(self.waiting)

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
        origin = current_origin.get()
        if origin is None or origin.collection is not self:
            collection_of(origin).add_task(func, *args, **kwargs)
        else:
            self.add(Task(origin, func, args, kwargs))

    def add(self, task: Task) -> None:
        """Add a task that is bound already.

        Raises:
            BackgroundTasksUnavailable: the tasks of this request have ended.
        """
        self.waiting.append(task)
        # Looked at after the task was appended: a thread may add one in the moment in which the request ends,
        # and then either the last look into the queue has seen it or this one takes it back.
        if self._ended and self._takes_back(task):
            raise BackgroundTasksUnavailable(
                f"{task.name} was added to {self.method} {self.path} after its background tasks had run: "
                "add tasks before the request ends, or from one of its tasks"
            )

    def _takes_back(self, task: Task) -> bool:
        try:
            self.waiting.remove(task)
        except ValueError:
            return False
        task.close()
        return True

    async def __call__(self) -> None:
        """Run what was collected so far, in a WebSocket connection. In a request this does nothing.

        There the tasks wait for the last byte of the response, also if somebody hands the collection to a
        response as its background or awaits it. It returns at once if the tasks are being run already, as it
        does inside of one.
        """
        collection = collection_of(current_origin.get())
        if collection is not self:
            await collection()
        elif self._scope["type"] == "websocket":
            await self.drain()
            self._failed = None

    async def drain(self) -> None:
        """Run what waits, and what that adds, in order, until nothing does.

        Raises:
            BaseException: the cancellation of the request, or a request to exit. What was cut off and what never
                started is named.
        """
        if self._draining:
            return
        self._draining = True
        self._runner.draining.add(self)
        try:
            while self.waiting or self._last_look():
                await self._next()
        except BaseException as error:
            self._abandon(error)
            raise
        finally:
            self._draining = False
            self._running = None
            self._runner.drained(self)

    def name_what_is_left(self) -> None:
        """Log what runs and what waits when the server shuts down."""
        for task in filter(None, (self._running, *self.waiting)):
            log.awaited(task)

    def _last_look(self) -> bool:
        # In this order: a thread that adds a task now sees the end, or is seen here.
        self._ended = self.ending
        if not self.waiting:
            return False
        self._ended = False
        return True

    async def _next(self) -> None:
        task = self.waiting.popleft()
        assert task.origin is not None, "a task runs once"
        if self._cut_off is not None:
            log.never_started(task, self._cut_off)
        elif task.origin.failure is not None:
            log.dropped(task, task.origin.failure)
        elif self._failed is not None:
            log.skipped(task, self._failed)
        else:
            self._running = task
            if not await self._runner.run(task) and self._runner.stop_on_error:
                self._failed = task.name
            return
        task.close()

    async def run_apart(self, background: Callable[[], Any]) -> None:
        """Run the own background of a response, each of its tasks isolated as those of a collection are."""
        own = RequestBackgroundTasks(self._runner, self._scope)
        for call in calls_in(background):
            own.add(Task(own, call, (), {}))
        await own.drain()

    def cut_off(self, by: BaseException) -> None:
        """The connection has been given up: name what waits, and what is still added to it."""
        self._cut_off = type(by).__name__
        self._abandon(by)

    def _abandon(self, by: BaseException) -> None:
        while self.waiting:
            task = self.waiting.popleft()
            log.never_started(task, type(by).__name__)
            task.close()


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
    collection = cast(RequestBackgroundTasks, collection_of(current_origin.get()))
    return collection if collection.substitute is None else collection.substitute(key)
