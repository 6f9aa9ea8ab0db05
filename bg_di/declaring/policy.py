"""When a task runs and how: frozen records, validated where they are written."""

from collections.abc import Mapping, Sequence
from dataclasses import InitVar, dataclass, fields, replace
from typing import Any, Final, Literal, Self, get_args

from bg_di.backends import Capability
from bg_di.backends.capabilities import IN_PROCESS
from bg_di.declaring.retry import Retry
from bg_di.errors import InvalidOptions
from bg_di.values import Seconds, duration, positive, seconds, wrong

When = Literal["success", "failure", "always"]
"""Of what added a task it runs at: of its route, or of the task."""

# Of what an engine is asked to keep.
_LONGEST_DELAY: Final = 366 * 24 * 3600.0


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

    Args:
        said_by: what the user has called, for errors.

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
    said_by: InitVar[str] = "using"

    def __post_init__(self, said_by: str) -> None:
        if self.when not in get_args(When):
            raise wrong(said_by, "when", self.when, f"give one of {', '.join(map(repr, get_args(When)))}")
        if self.timeout is not None:
            positive(said_by, "timeout", self.timeout)
        if not isinstance(self.retry, Retry | None):
            raise wrong(said_by, "retry", self.retry, "give a Retry(on=...), or None")
        for key in ("backend", "unique_key"):
            if not isinstance(getattr(self, key), str | None):
                raise wrong(said_by, key, getattr(self, key), "give text, or None")
        _check_key(said_by, self.unique_key or "")
        if self.delay is not None and duration(said_by, "delay", self.delay) > _LONGEST_DELAY:
            raise wrong(said_by, "delay", self.delay, "give at most 366 days")
        if self.unique_for is not None:
            positive(said_by, "unique_for", self.unique_for)
            if self.unique_key is None:
                raise wrong(said_by, "unique_for", self.unique_for, "give the unique_key, too")
        if self.session is not None and self.when == "failure":
            raise wrong(said_by, "when", self.when, "leave it or the session out: the session's commit decides instead")

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
    def of(cls, options: Mapping[str, Any]) -> "Policy":
        """The policy that a user declared; `DEFAULT` itself, if that is all.

        Raises:
            InvalidOptions: an option is unknown, has a wrong value, is one call's own, or cannot be kept.
        """
        policy = replace(DEFAULT, said_by="background_task", **_known(options, _DECLARABLE)) if options else DEFAULT
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


def _check_key(said_by: str, text: str) -> None:
    try:
        fits = len(text.encode()) <= _LONGEST_KEY
    except UnicodeEncodeError:  # surrogates, which no engine takes
        fits = False
    if not fits:
        raise wrong(said_by, "unique_key", text[:50], f"give text of at most {_LONGEST_KEY} bytes in UTF-8")


_ALL: Final = tuple(field.name for field in fields(Policy))
_OF_A_CALL: Final = {"unique_key", "unique_for", "session"}
_DECLARABLE: Final = tuple(name for name in _ALL if name not in _OF_A_CALL)
DEFAULT: Final = Policy()


def _known(options: Mapping[str, Any], allowed: Sequence[str]) -> Mapping[str, Any]:
    for key, value in options.items():
        if key in _OF_A_CALL and key not in allowed:
            raise InvalidOptions(f"{key!r} is one call's own (given {value!r}): say tasks.using({key}=...) where it is")
        if key not in allowed:
            raise InvalidOptions(f"there is no policy {key!r} (given {value!r}); the policies are {', '.join(allowed)}")
    return options
