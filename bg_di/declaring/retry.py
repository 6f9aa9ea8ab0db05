"""Whether and when a failing task is run again."""

import math
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from importlib.util import find_spec
from typing import Any, Literal

from bg_di.errors import InvalidOptions
from bg_di.values import Seconds, duration, is_number, positive, seconds, wrong

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool | Seconds]
"""Which errors are worth another attempt: a type, a tuple of types, or a function of the error."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Run a failing task again, in stamina's words and with its defaults. It needs the extra ``bg_di[retry]``.

    Attributes:
        on: which errors are worth another attempt: a type, a tuple of types, or a function of the error, which may
            answer with the seconds until that one, as what has refused has said it (``Retry-After``), instead of yes.
        attempts: how often it is run at most, the first time included; None without a limit.
        timeout: seconds over all attempts, after which no other one starts; None without a limit. Not given: 45 in the
            process, and no limit on an engine, which counts them from when the task was first due.
        wait_initial: seconds before the second attempt.
        wait_max: at most so many seconds before any.
        wait_jitter: up to so many seconds more, at random.
        wait_exp_base: each wait is so many times the one before.

    Raises:
        InvalidOptions: a value is wrong, or stamina is not installed.
    """

    on: RetryOn
    attempts: int | None = 10
    timeout: Seconds | Literal["default"] | None = "default"
    wait_initial: Seconds = 0.1
    wait_max: Seconds = 5.0
    wait_jitter: Seconds = 1.0
    wait_exp_base: float = 2.0

    def __post_init__(self) -> None:
        if find_spec("stamina") is None:
            raise InvalidOptions("Retry needs stamina, which is not installed: pip install 'bg_di[retry]'")
        if not _tells_errors(self.on):
            raise wrong("Retry", "on", self.on, "give a type of exception, a tuple of them, or a function of an error")
        if self.attempts is not None and not is_number(self.attempts):
            raise wrong("Retry", "attempts", self.attempts, "give a number of at least 1, or None")
        if self.timeout is not None and self.timeout != "default":
            positive("Retry", "timeout", self.timeout)
        for key in ("wait_initial", "wait_max", "wait_jitter"):
            duration("Retry", key, getattr(self, key))
        positive("Retry", "wait_exp_base", self.wait_exp_base)

    def timeout_or(self, default: float | None) -> float | None:
        """Seconds over all attempts, where `default` is how many there are if nobody said so."""
        if self.timeout == "default":
            return default
        return None if self.timeout is None else seconds(self.timeout)

    def _answer(self, error: BaseException) -> bool | float:
        """Whether another attempt might end otherwise, or the seconds until that one, if `on` has said them.

        Raises:
            InvalidOptions: these are no duration.
        """
        if isinstance(self.on, type | tuple):
            return isinstance(error, self.on)
        told = isinstance(error, Exception) and self.on(error)
        if isinstance(told, bool) or not isinstance(told, int | float | timedelta):
            return bool(told)
        return duration("Retry", "on", told)

    def next_after(self, attempt: int, error: BaseException, *, passed: float, limit: float | None) -> float | None:
        """Seconds from an attempt that has failed to the next one; None if there is none.

        Args:
            attempt: which one has failed, counted from 1.
            error: what it has raised.
            passed: seconds since these attempts are counted.
            limit: seconds over all of them, as `timeout_or` has it.

        Raises:
            InvalidOptions: `on` has answered with seconds that are no duration.
        """
        answer = self._answer(error)
        if answer is False or attempt >= (self.attempts or math.inf) or (limit is not None and passed >= limit):
            return None
        return self.wait_after(attempt) if answer is True else answer

    def wait_after(self, attempt: int) -> float:
        """Seconds from the end of an attempt, counted from 1, to the next: stamina's documented formula."""
        most = seconds(self.wait_jitter)
        jitter = random.uniform(0, most) if most else 0  # noqa: S311
        try:
            wait = seconds(self.wait_initial) * self.wait_exp_base ** (attempt - 1) + jitter
        except OverflowError:
            wait = math.inf
        return min(seconds(self.wait_max), wait)


def _tells_errors(on: Any) -> bool:
    if isinstance(on, type | tuple):
        types = on if isinstance(on, tuple) else (on,)
        return bool(types) and all(isinstance(each, type) and issubclass(each, Exception) for each in types)
    return callable(on)
