"""What can be said about background tasks when the module is declared, validated."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import ErrorDetails

from bg_di.errors import InvalidOptions
from bg_di.observer import TaskObserver


def _observers(given: tuple[Any, ...]) -> tuple[Any, ...]:
    for each in given:
        if not isinstance(each, TaskObserver) and not (isinstance(each, type) and issubclass(each, TaskObserver)):
            raise ValueError(f"{each!r} is no TaskObserver: give classes that derive from it, or instances")
    return given


class Options(BaseModel):
    """The options of one application.

    Attributes:
        run_after: ``"response"``, inside the response as Starlette does, or ``"request"``, after the whole
            middleware stack.
        on_error: whether a failing task ends the rest of its request (``"stop"``) or not (``"continue"``).
        max_threads: threads for sync tasks, apart from those of sync handlers; at least 1.
        observers: what hears of the tasks: `TaskObserver` classes, which the container builds, or instances.
        history: how many ended tasks `BackgroundTasksMonitor` remembers; 0 for none.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    run_after: Literal["response", "request"] = "response"
    on_error: Literal["stop", "continue"] = "stop"
    max_threads: Annotated[int, Field(ge=1)] = 40
    observers: Annotated[tuple[Any, ...], Field(strict=False), AfterValidator(_observers)] = ()
    history: Annotated[int, Field(ge=0)] = 1000

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Validate what a user typed.

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


def _describe(error: ErrorDetails) -> str:
    key = ".".join(map(str, error["loc"]))
    if error["type"] == "extra_forbidden":
        return f"there is no option {key!r} (given {error['input']!r}); the options are {_allowed()}"
    return f"option {key!r} is {error['input']!r}: {error['msg']}"


def _allowed() -> str:
    return ", ".join(Options.model_fields)
