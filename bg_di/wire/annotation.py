"""One parameter's annotation: what its values are made from again."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from enum import Enum
from inspect import Parameter
from typing import Any, Final

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticUserError
from pydantic_core import PydanticSerializationError

from bg_di.declaring.binding import name_of
from bg_di.declaring.dependencies import annotation_of
from bg_di.errors import MessageMalformed
from bg_di.wire.difference import difference
from bg_di.wire.reader import Reader
from bg_di.wire.text import is_json
from bg_di.wire.writer import CannotTravel, UnknownType, write

# They say nothing of the type, so only JSON's own may travel.
_UNTYPED: Final = (Parameter.empty, Any, object)


class Annotation:
    """How the values of one parameter travel.

    Raises:
        CannotTravel: pydantic cannot use the annotation.
    """

    def __init__(self, func: Callable[..., Any], parameter: Parameter) -> None:
        self._adapter: TypeAdapter[Any] | None = None
        self._enums: Mapping[str, type[Enum]] = {}
        try:
            self._learn(_annotation(func, parameter))
        # Whatever a string that is evaluated, or another library's hook into pydantic, may raise.
        except (NameError, SyntaxError, AttributeError, TypeError, PydanticUserError) as error:
            text = str(error).partition(". ")[0]  # what follows is advice on pydantic's own options
            raise CannotTravel(
                f"is annotated with what cannot travel or be read at run time: {text}; annotate it with data, "
                "whose type is imported at run time"
            ) from None

    def _learn(self, annotation: Any) -> None:
        if not any(annotation is untyped for untyped in _UNTYPED):
            self._adapter = TypeAdapter(annotation)
            self._enums = _enums(self._adapter.core_schema)

    def encode(self, value: Any, max_bytes: int) -> Any:
        """What JSON can hold of `value`.

        Raises:
            CannotTravel: it does not come back as it was.
        """
        written = self._write(value, max_bytes)
        lost = self._lost(value, written)
        if lost is not None:
            raise CannotTravel(
                f"would not come back as it was: {lost}; annotate the parameter with exactly what is passed"
            )
        return written

    def decode(self, written: Any) -> Any:
        """The value of what `encode` wrote, or another.

        Raises:
            MessageMalformed: it is none of ours, or not of the annotated type.
        """
        try:
            reader = Reader(self._enums)
            read = reader.read(written)
            if self._adapter is None:
                return read
            made = self._adapter.validate_python(read, by_alias=False, by_name=True)
            reader.forget_unset(made, read)
            return made
        except Exception as error:  # noqa: BLE001  # validators of the user's run here, on what anybody may have written
            reason = _reason(error)
        # Outside of the handler, so that the error does not hold on to the content by its context.
        raise MessageMalformed(reason)

    def _write(self, value: Any, max_bytes: int) -> Any:
        try:
            return write(value, max_bytes)
        except UnknownType as error:
            if self._adapter is None:
                raise
            unknown = error
        # A type of the user's may have told pydantic how; the error of one that fails would hold the value.
        with suppress(PydanticSerializationError):
            return write(self._adapter.dump_python(value, warnings=False), max_bytes)
        raise unknown

    def _lost(self, value: Any, written: Any) -> str | None:
        if self._adapter is None and not is_json(value):
            return "without an annotation nothing but JSON's own types does"
        try:
            return difference(value, self.decode(written))
        except MessageMalformed as error:
            return f"it {error.reason}"
        except RecursionError:  # in what is no part of what is written
            return "it holds itself"


def _annotation(func: Any, parameter: Parameter) -> Any:
    annotation = parameter.annotation
    return annotation_of(func, parameter.name, annotation) if isinstance(annotation, str) else annotation


def _enums(schema: Any) -> Mapping[str, type[Enum]]:
    """The classes that pydantic will make members of."""
    found: dict[str, type[Enum]] = {}
    seen: set[int] = set()
    rest = [schema]
    while rest:
        each = rest.pop()
        if isinstance(each, Enum):
            found[name_of(type(each))] = type(each)
        elif isinstance(each, dict | list | tuple) and id(each) not in seen:
            seen.add(id(each))
            rest.extend(each.values() if isinstance(each, dict) else each)
    return found


def _reason(error: Exception) -> str:
    """Without content, which pydantic's own texts and places have."""
    if isinstance(error, ValidationError):
        kinds = sorted(
            {each["type"] for each in error.errors(include_url=False, include_context=False, include_input=False)}
        )
        return f"does not fit its annotation ({', '.join(kinds)})"
    return f"cannot be read along its annotation ({type(error).__name__})"
