"""Who may add tasks besides the handler."""

from concurrent.futures import ThreadPoolExecutor

from websockets.exceptions import WebSocketException
from websockets.sync.client import connect

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome, ran
from benchmarks.behaviour.question import Question
from tests.servers.stage import HOST

_EARLY = 0.5


def _answered(host: Host, path: str, statuses: tuple[int, ...], *tasks: str) -> Outcome:
    with host.serves() as (server, stage):
        status = server.get(path, stage).status_code
        stage.hears(*tasks)
        server.stop()
        if status not in statuses:
            return Outcome(mark="poor", word=str(status), observed=f"the client gets a {status}")
        return ran(stage.heard, tasks, also=f"the client gets a {status}")


def _service(host: Host) -> Outcome:
    return _answered(host, "/service", (200,), "service")


def _middleware(host: Host) -> Outcome:
    return _answered(host, "/middleware", (200,), "handler", "middleware")


def _exception_handler(host: Host) -> Outcome:
    return _answered(host, "/handled", (409,), "handled")


def _guard(host: Host) -> Outcome:
    return _answered(host, "/guarded", (401, 403), "guard")


def _web_socket(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        try:
            with connect(f"ws://{HOST}:{server.port}/ws?stage={stage.name}") as client:
                assert client.recv() == "added"
        except WebSocketException as error:
            return Outcome(mark="poor", word="cannot connect", observed=f"the client gets: {error}")
        stage.hears("socket")
        server.stop()
        return ran(stage.heard, ["socket"])


def _singleton(host: Host) -> Outcome:
    with host.serves("in first") as (server, stage), ThreadPoolExecutor() as pool:
        first = pool.submit(server.get, "/singleton", stage, name="first")
        if not stage.hears("in first"):
            status = first.result().status_code
            return Outcome(mark="poor", word=str(status), observed=f"the client gets a {status}")
        server.get("/singleton", stage, name="second")
        stage.hears("second")
        early = stage.hears("first", within=_EARLY)
        stage.release("in first")
        first.result()
        stage.hears("first")
        server.stop()
        found = ran(stage.heard, ["first", "second"])
    if found.mark != "good":
        return found
    if early:
        return Outcome(mark="fair", word="before the answer", observed="the first request's task ran before its answer")
    return Outcome(mark="good", word="each after its own", observed="each task ran after the answer of its own request")


QUESTIONS = (
    Question(
        name="service",
        title="A service adds a task",
        judged="A service of the request, or a dependency, which the framework builds: its task runs.",
        ask=_service,
    ),
    Question(
        name="singleton",
        title="A singleton adds tasks for two requests at once",
        judged="The first request is still open while the second is answered: a task runs after its own answer.",
        ask=_singleton,
    ),
    Question(
        name="middleware",
        title="Middleware adds a task",
        judged="So does the handler behind it: both run.",
        ask=_middleware,
    ),
    Question(
        name="exception-handler",
        title="An exception handler adds a task",
        judged="It answers with a 409: the client gets that, and the task runs.",
        ask=_exception_handler,
    ),
    Question(
        name="guard",
        title="Who refuses a request adds a task",
        judged="A guard, a dependency or an authentication backend adds a task and refuses: the client gets a 401 or "
        "403, and the task runs.",
        ask=_guard,
    ),
    Question(
        name="web-socket",
        title="A WebSocket handler adds a task",
        judged="It runs, at the latest when the connection has ended.",
        ask=_web_socket,
    ),
)
