"""What can be said about background tasks when the module is declared, validated."""

from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from types import ModuleType
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_core import ErrorDetails

from bg_di.backends import Backend
from bg_di.backends.capabilities import IN_PROCESS
from bg_di.declaring.declare import declared
from bg_di.errors import InvalidOptions
from bg_di.observing.observer import TaskObserver


def _observers(given: tuple[Any, ...]) -> tuple[Any, ...]:
    for each in given:
        if not isinstance(each, TaskObserver) and not (isinstance(each, type) and issubclass(each, TaskObserver)):
            raise ValueError(f"{each!r} is no TaskObserver: give classes that derive from it, or instances")
    return given


def _tasks(given: tuple[Any, ...]) -> tuple[Any, ...]:
    for each in given:
        if not isinstance(each, str | ModuleType) and declared(each) is None:
            raise ValueError(f"{each!r} is no task: give declared tasks, modules that define them, or modules' names")
    return given


def _backends(given: Mapping[str, Any]) -> Mapping[str, Any]:
    for name, backend in given.items():
        if not isinstance(backend, Backend):
            raise ValueError(f"{name!r} is {backend!r}, which is no Backend: give a SqliteBackend(...), for example")
        if name == IN_PROCESS and not backend.runs_here:
            raise ValueError(f"{name!r} is the name of what runs in the process: give {backend!r} another one")
    return given


def _carry(given: tuple[Any, ...]) -> tuple[Any, ...]:
    names = [each.name for each in given if isinstance(each, ContextVar)]
    if len(names) < len(given) or len(set(names)) < len(names):
        raise ValueError("give context variables, each with a name of its own")
    return given


class Options(BaseModel):
    """The options of one application.

    Attributes:
        run_after: where tasks run: ``"response"``, inside the response as Starlette does, or ``"request"``, after the
            whole middleware stack. Default: ``"response"``.
        on_error: whether a failing task ends the rest of its request (``"stop"``, as Starlette and Ellar document it)
            or not (``"continue"``). Default: ``"stop"``.
        max_threads: threads for sync tasks, apart from those of sync handlers; at least 1. Default: ``40``.
        observers: what hears of the tasks: `TaskObserver` classes, which the container builds, or instances.
            Default: none.
        history: how many ended tasks `BackgroundTasksMonitor` remembers; 0 for none. Default: ``1000``.
        name: of the application on its engines, which keep its tasks apart from those of others; 1 to 200 characters,
            needed with any engine. Default: none.
        tasks: what workers of this application may run: declared tasks, or modules that define them, also by name.
            Default: none.
        backends: where tasks may run besides in the process, by names of your own. Default: none.
        default_backend: the name of the one that a task goes to if nothing else was said. Default: ``"in_process"``.
        carry: context variables that travel to an engine with each task, by their names; their values have to be of
            JSON's own types. Default: none.
        accept_timeout: seconds that a response waits for an engine to accept its tasks. Default: ``5.0``.
        retry_after: seconds after which a client may come again, if it has not: the ``Retry-After`` of the 503
            (RFC 9110, section 10.2.3), rounded up to whole ones. Default: ``5.0``.
        grace_period: seconds that a worker's running tasks have to end when it is shut down. Default: ``10.0``.
        log_arguments: whether arguments of tasks may appear in logs. Default: ``False``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run_after: Literal["response", "request"] = "response"
    on_error: Literal["stop", "continue"] = "stop"
    max_threads: Annotated[int, Field(ge=1)] = 40
    observers: Annotated[tuple[Any, ...], Field(strict=False), AfterValidator(_observers)] = ()
    history: Annotated[int, Field(ge=0)] = 1000
    name: Annotated[str, Field(min_length=1, max_length=200)] | None = None
    tasks: Annotated[tuple[Any, ...], Field(strict=False), AfterValidator(_tasks)] = ()
    backends: Annotated[dict[str, Any], AfterValidator(_backends)] = Field(default_factory=dict)
    default_backend: str = IN_PROCESS
    carry: Annotated[tuple[Any, ...], Field(strict=False), AfterValidator(_carry)] = ()
    accept_timeout: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 5.0
    retry_after: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    grace_period: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 10.0
    log_arguments: bool = False

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        known = {IN_PROCESS, *self.backends}
        if self.default_backend not in known:
            raise ValueError(f"default_backend={self.default_backend!r} is none of the backends: {_shown(known)}")
        if self.name is None and not all(backend.runs_here for backend in self.backends.values()):
            raise ValueError("backends beyond the process need a name=, under which they keep this application's tasks")
        return self

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Validate what a user typed.

        Args:
            options: by their names.

        Raises:
            InvalidOptions: naming each key, its value and what is allowed.
        """
        try:
            return cls.model_validate({str(key): value for key, value in options.items()})
        except ValidationError as error:
            wrong = "; ".join(map(_describe, error.errors()))
            raise InvalidOptions(f"BackgroundTasksModule cannot be set up: {wrong}") from None

    @classmethod
    def configured(cls, section: object, override: Mapping[str, Any]) -> Self:
        """Validate the section ``BACKGROUND_TASKS`` of an application's config, with overrides on top.

        Args:
            section: what the config has; None is as an empty one.
            override: options that win over it.

        Raises:
            InvalidOptions: likewise, or the section is not a dict.
        """
        if section is None:
            section = {}
        if not isinstance(section, Mapping):
            raise InvalidOptions(
                f"BACKGROUND_TASKS in the application's config is {section!r}: give a dict of options, "
                f"any of {_allowed()}"
            )
        return cls.of({**section, **override})


# A user types a list, which pydantic makes the tuple that it calls for.
_IN_OUR_WORDS = {"tuple_type": "give a list, also of one", "dict_type": "give a dict"}


def _shown(names: Iterable[str]) -> str:
    return ", ".join(sorted(map(repr, names)))


def _describe(error: ErrorDetails) -> str:
    said = _IN_OUR_WORDS.get(error["type"], error["msg"].removeprefix("Value error, "))
    if not error["loc"]:
        return said
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"there is no option {key!r} (given {error['input']!r}); the options are {_allowed()}"
    return f"option {key!r} is {error['input']!r}: {said}"


def _allowed() -> str:
    return ", ".join(Options.model_fields)
