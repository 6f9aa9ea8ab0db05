"""When a task runs and how: frozen records, validated where they are written."""

import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from typing import Any, Final, Literal, Self, get_args

from bg_di.backend import IN_PROCESS, Capability
from bg_di.errors import InvalidOptions
from bg_di.values import Seconds, duration, is_number, positive, seconds, wrong

When = Literal["success", "failure", "always"]
"""Of what added a task it runs at: of its route, or of the task."""

RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]
"""Which errors are worth another attempt: a type, a tuple of types, or a function of the error."""

# Of what an engine is asked to keep.
_LONGEST_DELAY: Final = 366 * 24 * 3600.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Run a failing task again, in stamina's words and with its defaults. It needs the extra ``bg_di[retry]``.

    Attributes:
        on: which errors are worth another attempt: a type, a tuple of types, or a function of the error.
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

    def is_worth(self, error: BaseException) -> bool:
        """Whether after this `error` another attempt might end otherwise."""
        if isinstance(self.on, type | tuple):
            return isinstance(error, self.on)
        return isinstance(error, Exception) and bool(self.on(error))

    def wait_after(self, attempt: int) -> float:
        """Seconds from the end of an attempt, counted from 1, to the next: stamina's documented formula."""
        most = seconds(self.wait_jitter)
        jitter = random.uniform(0, most) if most else 0  # noqa: S311
        try:
            wait = seconds(self.wait_initial) * self.wait_exp_base ** (attempt - 1) + jitter
        except OverflowError:
            wait = math.inf
        return min(seconds(self.wait_max), wait)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a task runs, and how.

    Attributes:
        when: it runs if what added it, its route or task, succeeded (``"success"``), failed (``"failure"``), or
            whatever happened (``"always"``), also after a failing task that ends the rest.
        timeout: seconds for each attempt of an async task; None without a limit.
        retry: whether and how a failing one is run again; None: it is not.
        backend: where it runs, by its name in the option ``backends``; None: on the ``default_backend``.
        delay: seconds from `add_task` on, before which it does not run. Only on engines.
        unique_key: no other task of this name with this key is accepted, while this one waits and runs and after it has
            succeeded. Only on engines, and for one call.
        unique_for: seconds from when it is due, after which the key is free again if it has succeeded; None: a day.
        session: a database session with whose commit the task is accepted. Only on engines, and for one call.

    Raises:
        InvalidOptions: a value is wrong.
    """

    when: When = "success"
    timeout: Seconds | None = None
    retry: Retry | None = None
    backend: str | None = None
    delay: Seconds | None = None
    unique_key: str | None = None
    unique_for: Seconds | None = None
    session: Any = None

    def __post_init__(self) -> None:
        if self.when not in get_args(When):
            raise wrong("background_task", "when", self.when, f"give one of {', '.join(map(repr, get_args(When)))}")
        if self.timeout is not None:
            positive("background_task", "timeout", self.timeout)
        if not isinstance(self.retry, Retry | None):
            raise wrong("background_task", "retry", self.retry, "give a Retry(on=...), or None")
        for key in ("backend", "unique_key"):
            if not isinstance(getattr(self, key), str | None):
                raise wrong("background_task", key, getattr(self, key), "give text, or None")
        _check_key(self.unique_key or "")
        if self.delay is not None and duration("background_task", "delay", self.delay) > _LONGEST_DELAY:
            raise wrong("background_task", "delay", self.delay, "give at most 366 days")
        if self.unique_for is not None:
            positive("background_task", "unique_for", self.unique_for)
            if self.unique_key is None:
                raise wrong("background_task", "unique_for", self.unique_for, "give the unique_key, too")
        if self.session is not None and self.when == "failure":
            raise wrong("using", "when", self.when, "leave it or the session out: the session's commit decides instead")

    @property
    def timeout_seconds(self) -> float | None:
        return None if self.timeout is None else seconds(self.timeout)

    @property
    def needs(self) -> list[Capability]:
        """What the backend has to be able to do."""
        wanted: dict[Capability, Any] = {
            "delay": self.delay,
            "unique_key": self.unique_key,
            "transaction": self.session,
        }
        return [capability for capability, value in wanted.items() if value is not None]

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The policy that a user declared.

        Raises:
            InvalidOptions: an option is unknown, has a wrong value, is one call's own, or cannot be kept.
        """
        policy = replace(cls(), **_known(options, _DECLARABLE))
        if policy.delay is not None and policy.backend == IN_PROCESS:
            remedy = "what runs in the process runs at once: name another backend, or leave it out"
            raise wrong("background_task", "delay", policy.delay, remedy)
        return policy

    def changed(self, options: Mapping[str, Any]) -> Self:
        """The same with other options.

        Raises:
            InvalidOptions: an option is unknown or has a wrong value.
        """
        return replace(self, **_known(options, _ALL))


# Engines keep it beside the message, whose size is limited.
_LONGEST_KEY: Final = 1024


def _check_key(text: str) -> None:
    try:
        fits = len(text.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:  # surrogates, which no engine takes
        fits = False
    if not fits:
        raise wrong("using", "unique_key", text[:50], f"give text of at most {_LONGEST_KEY} bytes in UTF-8")


_ALL: Final = tuple(field.name for field in fields(Policy))
_OF_A_CALL: Final = {"unique_key", "unique_for", "session"}
_DECLARABLE: Final = tuple(name for name in _ALL if name not in _OF_A_CALL)
DEFAULT: Final = Policy()


def _tells_errors(on: Any) -> bool:
    if isinstance(on, type | tuple):
        types = on if isinstance(on, tuple) else (on,)
        return bool(types) and all(isinstance(each, type) and issubclass(each, Exception) for each in types)
    return callable(on)


def _known(options: Mapping[str, Any], allowed: Sequence[str]) -> Mapping[str, Any]:
    for key, value in options.items():
        if key in _OF_A_CALL and key not in allowed:
            raise InvalidOptions(f"{key!r} is one call's own (given {value!r}): say tasks.using({key}=...) where it is")
        if key not in allowed:
            raise InvalidOptions(f"there is no policy {key!r} (given {value!r}); the policies are {', '.join(allowed)}")
    return options
