"""What happens when something fails."""

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome, ran
from benchmarks.behaviour.question import Question
from benchmarks.behaviour.work import AWAY

_QUIET = 1.0


def _next_request(host: Host) -> Outcome:
    with host.serves("failing", "handler") as (server, stage), server.connect() as connection:
        assert connection.get(f"/fails?stage={stage.name}").status == 200
        stage.wait_for("failing")
        connection.ask(f"/held?stage={stage.name}")
        if not stage.hears("handler"):
            return Outcome(mark="poor", word="waits", observed="the next request waits for the tasks of the one before")
        stage.release("failing")
        if not connection.is_silent(_QUIET):
            closed = "the connection is closed, and the request that was already on it gets no answer"
            return Outcome(mark="poor", word="lost", observed=closed)
        stage.release("handler")
        assert connection.answer().status == 200
    return Outcome(mark="good", word="answered", observed="the next request on the same connection gets its answer")


def _rest(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        server.get("/fails", stage)
        stage.hears("second", "third")
        server.stop()
        found = ran(stage.heard, ["second", "third"])
        named = [message for message in server.messages() if "note" in message]
    if found.mark == "good":
        return found
    if named:
        return Outcome(mark="fair", word="stopped, named", observed=f"{found.observed}; the log: “{named[0]}”")
    return Outcome(mark="poor", word="stopped silently", observed=f"{found.observed}; the log does not name them")


def _told(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        server.get("/fails", stage)
        stage.hears("failing")
        server.stop()
        named = [message for message in server.messages() if "failing" in message]
        with_request = [message for message in named if "/fails" in message]
        traced = AWAY in server.output
    if with_request:
        return Outcome(mark="good", word="task and request", observed=f"the log: “{with_request[0]}”")
    if named:
        return Outcome(mark="fair", word="the task", observed=f"the log: “{named[0]}”")
    if traced:
        said = "the server logs an exception of the application with its traceback, and says neither task nor request"
        return Outcome(mark="fair", word="a traceback", observed=said)
    return Outcome(mark="poor", word="nobody", observed="nothing is in the log")


def _handler_raises(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        status = server.get("/raises", stage).status_code
        ran_anyway = stage.hears("raised")
        server.stop()
        named = [message for message in server.messages() if "note" in message]
    assert status == 500
    if ran_anyway:
        return Outcome(mark="fair", word="runs all the same", observed="the client gets a 500, and the task runs")
    if named:
        return Outcome(mark="good", word="dropped, named", observed=f"the log: “{named[0]}”")
    said = "the client gets a 500, the task does not run, and the log does not name it"
    return Outcome(mark="poor", word="dropped silently", observed=said)


def _wrong_arguments(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        status = server.get("/wrong", stage).status_code
        server.stop()
        missing = "missing 1 required positional argument" in server.output
    if status == 500:
        return Outcome(
            mark="good", word="where it is added", observed="the `TypeError` is raised in the handler: a 500"
        )
    assert missing
    said = f"the client gets a {status}, and the `TypeError` is raised after that"
    return Outcome(mark="poor", word="after the answer", observed=said)


QUESTIONS = (
    Question(
        name="next-request",
        title="A task fails: the next request on the connection",
        judged="The next request of the same client is already being handled when the task fails: it is answered.",
        ask=_next_request,
    ),
    Question(
        name="rest",
        title="A task fails: the other tasks of the request",
        judged="The first of three fails, with nothing configured: the others run, or the log names them.",
        ask=_rest,
    ),
    Question(
        name="told",
        title="A task fails: who is told what",
        judged="What is in the log, tracebacks aside: the name of the task, and of which request it was.",
        ask=_told,
    ),
    Question(
        name="handler-raises",
        title="The handler fails after it has added a task",
        judged="It would have run after an answer that never came: it is dropped, and the log names it.",
        ask=_handler_raises,
    ),
    Question(
        name="wrong-arguments",
        title="A task is added with an argument missing",
        judged="Whether that is an error where it is added, or only when the client has its answer.",
        ask=_wrong_arguments,
    ),
)
