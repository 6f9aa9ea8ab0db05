"""What dependency injection has to do with tasks."""

from benchmarks.behaviour.host import Host
from benchmarks.behaviour.outcome import Outcome, ran
from benchmarks.behaviour.question import Question


def _dependencies(host: Host) -> Outcome:
    with host.serves() as (server, stage):
        assert server.get("/dependent", stage).status_code == 200
        stage.hears("sent by ada")
        server.stop()
        return ran(stage.heard, ["sent by ada"])


def _fakes(host: Host) -> Outcome:
    reached = ["handler" if path == "plain" else path for path in host.fakes()]
    missed = [who for who in ("handler", "service") if who not in reached]
    observed = f"the fake got what these added: {', '.join(reached) or 'nobody'}"
    if not missed:
        return Outcome(mark="good", word="reaches both", observed=observed)
    return Outcome(mark="poor", word=f"misses the {' and the '.join(missed)}", observed=observed)


QUESTIONS = (
    Question(
        name="dependencies",
        title="A task with dependencies",
        judged="A method of a service is added as a task: the framework builds the service, with what it needs, where "
        "the task runs.",
        ask=_dependencies,
    ),
    Question(
        name="fakes",
        title="A fake collection in tests",
        judged="`BackgroundTasks` is overridden as the framework overrides anything in tests: a handler and a service "
        "that add tasks get the fake.",
        ask=_fakes,
    ),
)
