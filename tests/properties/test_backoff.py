"""Promise 12 of waits: between attempts on an engine they are those that stamina makes in the process."""

import inspect
import random
from datetime import timedelta
from typing import Any

import stamina
from hypothesis import example, given, settings
from hypothesis import strategies as st
from stamina._core import _compute_backoff

from bg_di import Retry
from bg_di.values import seconds

THEIRS = {name: each.default for name, each in inspect.signature(stamina.retry).parameters.items()}
SECONDS = st.one_of(
    st.integers(0, 10**6),
    st.floats(0, 1e300),
    st.floats(0, 10),
    st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=1000)),
)


def test_the_defaults_are_staminas() -> None:
    """Also over all attempts, in the process."""
    retry = Retry(on=OSError)
    names = ("attempts", "wait_initial", "wait_max", "wait_jitter", "wait_exp_base")
    assert {name: getattr(retry, name) for name in names} == {name: THEIRS[name] for name in names}
    assert retry.timeout_or(THEIRS["timeout"]) == THEIRS["timeout"]
    assert retry.timeout_or(None) is None


@settings(max_examples=1000, deadline=None)
@given(
    attempt=st.integers(1, 5000),
    initial=SECONDS,
    most=SECONDS,
    jitter=SECONDS,
    base=st.one_of(st.integers(1, 100), st.floats(1e-3, 1e6)),
    seed=st.integers(),
)
@example(attempt=5000, initial=1, most=3, jitter=0, base=2, seed=0)
@example(attempt=5000, initial=0, most=3, jitter=0, base=2.0, seed=0)
@example(attempt=5000, initial=0.1, most=timedelta(seconds=3), jitter=1, base=2.0, seed=0)
def test_a_wait_is_staminas(attempt: int, initial: Any, most: Any, jitter: Any, base: float, seed: int) -> None:
    """Of the same random numbers the same, whatever the parameters, also where a float does not reach."""
    retry = Retry(on=OSError, wait_initial=initial, wait_max=most, wait_jitter=jitter, wait_exp_base=base)
    random.seed(seed)
    wait = retry.wait_after(attempt)
    ours = random.random()
    random.seed(seed)
    assert wait == _compute_backoff(attempt, seconds(most), seconds(initial), base, seconds(jitter))
    assert ours == random.random()
    assert 0 <= wait <= seconds(most)


@settings(max_examples=200, deadline=None)
@given(initial=SECONDS, most=SECONDS, base=st.floats(0.5, 10))
def test_a_wait_without_jitter_is_what_stamina_says_of_itself(initial: Any, most: Any, base: float) -> None:
    """By its public interface."""
    retry = Retry(on=OSError, wait_initial=initial, wait_max=most, wait_jitter=0, wait_exp_base=base)
    waits = []
    for attempt in stamina.retry_context(
        on=OSError, attempts=2, timeout=None, wait_initial=initial, wait_max=most, wait_jitter=0, wait_exp_base=base
    ):
        waits.append(attempt.next_wait)
        break
    assert waits == [retry.wait_after(1)]
