"""What becomes of tasks and responses when all goes well."""

from concurrent.futures import ThreadPoolExecutor

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome, ran
from benchmarks.behaviour.question import Question

_KINDS = ("json", "stream", "file", "redirect")
_STATUSES = ("201", "202", "204")
_HELD_BACK = 0.5


def _own_response(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        for kind in _KINDS:
            assert server.get(f"/own/{kind}", stage).status_code in (200, 302, 307)
        stage.hears(*_KINDS)
        server.stop()
        return ran(stage.heard, _KINDS)


def _declared_status(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        got = [str(server.get(f"/status/{status}", stage).status_code) for status in _STATUSES]
        stage.hears(*_STATUSES)
        server.stop()
        tasks = ran(stage.heard, _STATUSES)
    changed = [f"{want} became {have}" for want, have in zip(_STATUSES, got, strict=True) if want != have]
    if changed:
        return Outcome(mark="poor", word="changed", observed=f"{', '.join(changed)}; tasks {tasks.observed}")
    if tasks.mark == "good":
        return Outcome(mark="good", word="stays", observed=f"{', '.join(got)}; tasks {tasks.observed}")
    return tasks


def _own_and_injected(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        server.get("/both", stage)
        stage.hears("own", "injected")
        server.stop()
        return ran(stage.heard, ["own", "injected"])


def _shared_response(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        for name in ("first", "second"):
            server.get("/shared", stage, name=name)
            stage.hears(name)
        server.stop()
        return ran(stage.heard, ["first", "second"])


def _after_last_byte(host: Host) -> Outcome:
    with host.serves("stream", "after") as (server, stage):
        with server.client.stream("GET", "/streaming", params={"stage": stage.name}) as response:
            assert response.status_code == 200
            body = response.iter_raw()
            received = next(body)
            stage.wait_for("stream")
            early = stage.hears("after", within=_HELD_BACK)
            stage.release("stream")
            received += b"".join(body)
        assert received == b"firstlast"
        if not stage.hears("after"):
            return Outcome(mark="poor", word="lost", observed="the task did not run")
        stage.release("after")
    if early:
        return Outcome(mark="poor", word="before", observed="the task ran while the last chunk was still held back")
    observed = "the task began after the last chunk, and the client had its whole answer while it ran"
    return Outcome(mark="good", word="after", observed=observed)


def _exactly_once(host: Host) -> Outcome:
    names = [f"number {number}" for number in range(300)]
    with host.serves() as (server, stage):
        with ThreadPoolExecutor(max_workers=30) as pool:
            answers = list(pool.map(lambda name: server.get_alone("/plain", stage, name=name).status_code, names))
        stage.hears(*names, within=10)
        server.stop()
        found = ran(stage.heard, names)
    assert set(answers) == {200}
    if found.mark == "good":
        return Outcome(mark="good", word="each once", observed=f"{len(names)} requests, {len(stage.heard)} runs")
    return found


QUESTIONS = (
    Question(
        name="own-response",
        title="The handler returns a response of its own",
        judged="Four handlers add a task and return a JSON response, a stream, a file and a redirect that they made "
        "themselves: each task runs once.",
        ask=_own_response,
    ),
    Question(
        name="declared-status",
        title="A declared status stays",
        judged="Three handlers declare 201, 202 and 204 and add a task: the client gets these, and the tasks run. (In "
        "Ellar the 204 is a response of the handler's own: the one it makes of a result has a body, tasks or not, and "
        "uvicorn refuses that.)",
        ask=_declared_status,
    ),
    Question(
        name="own-and-injected",
        title="A response with a task of its own, and an injected one",
        judged="A handler adds a task to the injected collection and returns a response with a `background`: both run.",
        ask=_own_and_injected,
    ),
    Question(
        name="shared-response",
        title="A response object that requests share",
        judged="Two requests, one after another, add a task each and return the same object: each task runs once.",
        ask=_shared_response,
    ),
    Question(
        name="after-last-byte",
        title="Tasks begin after the last byte",
        judged="The last chunk of a stream is held back: no task runs meanwhile; the client gets it while one runs.",
        ask=_after_last_byte,
    ),
    Question(
        name="exactly-once",
        title="300 requests, 30 at a time",
        judged="Each adds a task under a name of its own: each runs once.",
        ask=_exactly_once,
    ),
)
