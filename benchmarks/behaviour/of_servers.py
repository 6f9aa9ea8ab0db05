"""What happens to tasks under load, and when the server or the client goes."""

import tempfile

import httpx

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome
from benchmarks.behaviour.question import Question
from tests.servers.stage import PATIENCE

_SLOW_TASKS, _THREADS = 45, 40
_ANSWER = 5.0
_AWAITED = 1.0
_RESTARTED = 3.0


def _slow_tasks(host: Host) -> Outcome:
    with host.serves("blocking") as (server, stage):
        for _ in range(_SLOW_TASKS):
            server.get("/blocks", stage)
        stage.hears(*["blocking"] * _THREADS)
        blocked = stage.heard.count("blocking")
        try:
            server.client.get("/sync", timeout=_ANSWER)
        except httpx.ReadTimeout:
            said = f"{blocked} slow tasks run; the handler gets no thread within {_ANSWER:g} s"
            return Outcome(mark="poor", word="no answer", observed=said)
    return Outcome(mark="good", word="answered", observed=f"{blocked} slow tasks run, and the handler answers")


def _client_leaves(host: Host) -> Outcome:
    with host.serves("stream") as (server, stage):
        with server.connect() as connection:
            connection.ask(f"/leaves?stage={stage.name}")
            connection.first_chunk()
            stage.wait_for("stream")
        stage.release("stream")
        found = stage.hears("left", within=PATIENCE)
    if found:
        return Outcome(mark="good", word="runs", observed="the client has closed the connection, and the task runs")
    return Outcome(mark="poor", word="lost", observed="the client has closed the connection, and the task does not run")


def _told_to_end(host: Host) -> Outcome:
    with host.serves("running") as (server, stage):
        server.get("/slow", stage)
        stage.wait_for("running")
        server.client.close()
        server.terminate()
        if server.ends_within(_AWAITED):
            return Outcome(mark="poor", word="cut off", observed="the process ends while the task is running")
        stage.release("running")
        awaited = stage.hears("ended") and server.ends_within(PATIENCE)
    assert awaited
    return Outcome(mark="good", word="awaited", observed="the process ends when the task has ended")


def _cut_off(host: Host) -> Outcome:
    with host.serves("running", seconds=1) as (server, stage):
        server.get("/slow", stage)
        stage.wait_for("running")
        server.stop()
        named = [message for message in server.messages() if "slow" in message]
        counted = "Cancel 1 running task" in server.output
    if named:
        return Outcome(mark="good", word="named", observed=f"the log: “{named[0]}”")
    if counted:
        said = "the server logs that it has cancelled one running task, and not which"
        return Outcome(mark="fair", word="counted", observed=said)
    return Outcome(mark="poor", word="silent", observed="nothing is in the log")


def _killed(host: Host) -> Outcome:
    again = _runs_again(host, None)
    if host.peer.durable is None:
        assert not again
        return Outcome(
            mark="absent", word="not offered", observed="tasks are in the process, and the task is lost with it"
        )
    assert not again
    if _runs_again(host, host.peer.durable):
        said = "with its tasks on a SQLite file it runs after the restart; in the process, the default, it is lost"
        return Outcome(mark="good", word="runs again", observed=said)
    return Outcome(mark="poor", word="lost", observed="also with its tasks on a SQLite file")


def _runs_again(host: Host, app: str | None) -> bool:
    with tempfile.TemporaryDirectory() as folder, host.serves("running", app=app, folder=folder) as (server, stage):
        assert server.get("/slow", stage).status_code == 200
        stage.wait_for("running")
        server.client.close()
        server.process.kill()
        server.process.wait(PATIENCE)
        with host.serves(app=app, folder=folder):
            return stage.hears("running", "running", within=PATIENCE if app else _RESTARTED)


QUESTIONS = (
    Question(
        name="slow-tasks",
        title="Slow sync tasks beside a sync handler",
        judged=f"{_SLOW_TASKS} sync tasks wait for something: a sync handler is answered within {_ANSWER:g} s.",
        ask=_slow_tasks,
    ),
    Question(
        name="client-leaves",
        title="The client leaves in the middle of a stream",
        judged="A task was added before: it runs.",
        ask=_client_leaves,
    ),
    Question(
        name="told-to-end",
        title="SIGTERM while a task runs",
        judged="The server has no limit on how long it waits: the task comes to its end.",
        ask=_told_to_end,
    ),
    Question(
        name="cut-off",
        title="A task that is cut off at shutdown",
        judged="The server waits one second after SIGTERM, and the task takes longer: the log names the task.",
        ask=_cut_off,
    ),
    Question(
        name="killed",
        title="SIGKILL after the answer, while a task runs",
        judged="The process is started again: the task runs again, by what the framework itself brings.",
        ask=_killed,
    ),
)
