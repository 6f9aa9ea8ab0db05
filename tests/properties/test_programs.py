"""Promises 1 to 7, on programs: applications of every kind, and requests that come to them at once."""

import pytest
from hypothesis import given, settings

from tests.properties.model import predict
from tests.properties.programs import HANDLERS, Program, exhaustive, predictable, programs
from tests.properties.routes import SHARED, SHARED_BACKGROUND
from tests.properties.running import execute


def follows_the_model(program: Program) -> None:
    runs, controls = execute(program), execute(program, tasks=False)
    for run, control in zip(runs, controls, strict=True):
        predicted = predict(run.script, run.leaving, run_after=program.run_after, on_error=program.on_error)
        assert [what for what in run.timeline if what != "sent"] == predicted.timeline
        assert run.log == predicted.log
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
    """Tasks run once, in the order of the model, after the last byte; others are named; responses are untouched."""
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
        assert not run.early
