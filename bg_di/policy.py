"""When a task runs and how: frozen records, validated where they are written."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from importlib.util import find_spec
from typing import Any, Final, Literal, Self, get_args

from bg_di.errors import InvalidOptions
from bg_di.values import Seconds, duration, is_number, positive, seconds, wrong

When = Literal["success", "failure", "always"]
RetryOn = type[Exception] | tuple[type[Exception], ...] | Callable[[Exception], bool]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retry:
    """Run a failing task again, in stamina's words and with its defaults. It needs the extra ``bg_di[retry]``.

    Attributes:
        on: which errors are worth another attempt: a type, a tuple of types, or a function of the error.
        attempts: how often it is run at most, the first time included; None without a limit.
        timeout: seconds over all attempts, after which no other one starts; None without a limit.
        wait_initial: seconds before the second attempt.
        wait_max: at most so many seconds before any.
        wait_jitter: up to so many seconds more, at random.
        wait_exp_base: each wait is so many times the one before.

    Raises:
        InvalidOptions: a value is wrong, or stamina is not installed.
    """

    on: RetryOn
    attempts: int | None = 10
    timeout: Seconds | None = 45.0
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
        if self.timeout is not None:
            positive("Retry", "timeout", self.timeout)
        for key in ("wait_initial", "wait_max", "wait_jitter"):
            duration("Retry", key, getattr(self, key))
        positive("Retry", "wait_exp_base", self.wait_exp_base)


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """When a task runs, and how.

    Attributes:
        when: it runs if what added it, its route or task, succeeded (``"success"``), failed (``"failure"``), or
            whatever happened (``"always"``), also after a failing task that ends the rest.
        timeout: seconds for each attempt of an async task; None without a limit.
        retry: whether and how a failing one is run again; None: it is not.

    Raises:
        InvalidOptions: a value is wrong.
    """

    when: When = "success"
    timeout: Seconds | None = None
    retry: Retry | None = None

    def __post_init__(self) -> None:
        if self.when not in get_args(When):
            raise wrong("background_task", "when", self.when, f"give one of {', '.join(map(repr, get_args(When)))}")
        if self.timeout is not None:
            positive("background_task", "timeout", self.timeout)
        if not isinstance(self.retry, Retry | None):
            raise wrong("background_task", "retry", self.retry, "give a Retry(on=...), or None")

    @property
    def timeout_seconds(self) -> float | None:
        return None if self.timeout is None else seconds(self.timeout)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """The policy that a user typed.

        Raises:
            InvalidOptions: an option is unknown or has a wrong value.
        """
        return replace(cls(), **_known(options))

    def changed(self, options: Mapping[str, Any]) -> Self:
        """The same with other options.

        Raises:
            InvalidOptions: an option is unknown or has a wrong value.
        """
        return replace(self, **_known(options))


DEFAULT: Final = Policy()


def _tells_errors(on: Any) -> bool:
    if isinstance(on, type | tuple):
        types = on if isinstance(on, tuple) else (on,)
        return bool(types) and all(isinstance(each, type) and issubclass(each, Exception) for each in types)
    return callable(on)


def _known(options: Mapping[str, Any]) -> Mapping[str, Any]:
    allowed = [field.name for field in fields(Policy)]
    for key, value in options.items():
        if key not in allowed:
            raise InvalidOptions(f"there is no policy {key!r} (given {value!r}); the policies are {', '.join(allowed)}")
    return options
