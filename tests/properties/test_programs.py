"""Promises 1 to 7, on programs: applications of every kind, and requests that come to them at once."""

from collections.abc import Iterator

import pytest
import stamina.instrumentation
from hypothesis import given, settings

from tests.properties.adding import Run
from tests.properties.model import predict
from tests.properties.programs import HANDLERS, Program, exhaustive, predictable, programs
from tests.properties.routes import SHARED, SHARED_BACKGROUND
from tests.properties.running import execute


@pytest.fixture(autouse=True, scope="module")
def quiet() -> Iterator[None]:
    """Stamina tells nobody of the retries of all these programs."""
    hooks = stamina.instrumentation.get_on_retry_hooks()
    stamina.instrumentation.set_on_retry_hooks([])
    yield
    stamina.instrumentation.set_on_retry_hooks(hooks)


# What is logged of a task, by how it ended.
SAID = {
    "succeeded": (None,),
    "failed": ("failed",),
    "dropped": ("was dropped",),
    "skipped": ("was skipped",),
    "cancelled": ("was cut off", "never started"),
}


def is_told_once(run: Run, program: Program) -> None:
    """Each task that was added ended in one state, of which the log and an observer say the same."""
    states = dict(run.ended)
    assert len(states) == len(run.ended)
    assert {name for name in states if name != "own"} == set(run.added)
    assert all(run.log.get(name) in SAID[state] for name, state in run.ended)
    if not program.observed:
        assert not run.heard
        return
    assert run.heard.keys() == states.keys()
    for name, state in run.ended:
        heard, cut_off = run.heard[name], run.log.get(name) == "was cut off"
        # What is cut off may be so before anything is seen of its last attempt.
        attempts = ["attempt"] * (heard.count("attempt") if cut_off else run.timeline.count(name))
        assert heard == ["added", *(["released", "running", *attempts] if attempts or cut_off else []), state]


def follows_the_model(program: Program) -> None:
    runs, controls = execute(program), execute(program, tasks=False)
    for run, control in zip(runs, controls, strict=True):
        predicted = predict(run.script, run.leaving, run_after=program.run_after, on_error=program.on_error)
        assert [what for what in run.timeline if what != "sent"] == predicted.timeline
        assert run.ended == predicted.ended
        is_told_once(run, program)
        assert not run.early
        assert run.response == control.response
    assert SHARED.background is SHARED_BACKGROUND


@pytest.mark.parametrize("run_after", ["response", "request"])
@pytest.mark.parametrize(
    ("handler", "stack"), [*((handler, ()) for handler in HANDLERS), ("async", ("function",)), ("sync", ("function",))]
)
def test_every_kind_of_request_does_what_the_model_says(handler: str, stack: tuple[str, ...], run_after: str) -> None:
    """Each kind of handler, with each result, each ending and each client, and a task added in each place."""
    follows_the_model(exhaustive(handler, stack, run_after))


@settings(max_examples=100, deadline=None)
@given(programs().map(predictable))
def test_a_program_does_what_the_model_says(program: Program) -> None:
    """Tasks run once, in the order of the model, after the last byte, or are named; responses are untouched."""
    follows_the_model(program)


@settings(max_examples=80, deadline=None)
@given(programs())
def test_nothing_is_lost_silently(program: Program) -> None:
    """Whoever leaves or is cancelled, each task that was added runs once, after the last byte, or is named."""
    for run in execute(program):
        cut_off = run.said("was cut off")
        given_up = run.said("was dropped", "was skipped", "never started")
        assert cut_off.isdisjoint(given_up)
        # What the response's own background adds runs with it, before everything else.
        in_order = sorted(run.added, key=lambda name: not name.startswith("own."))
        assert [name for name in run.ran if name not in cut_off] == [
            name for name in in_order if name not in given_up | cut_off
        ]
        is_told_once(run, program)
        assert not run.early
