"""How the arguments of a call travel: as JSON, along the annotations of the function.

What is to travel is written, made again as a worker would, and compared: what does not come back equal and of the same
types is refused where the task is added. So nothing is changed without a word.
"""

import inspect
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from hashlib import sha256
from inspect import Parameter
from itertools import chain, repeat
from types import MethodType
from typing import Any

from bg_di.declaring.binding import name_of, refuse_arguments
from bg_di.declaring.declare import declared
from bg_di.errors import MessageMalformed
from bg_di.wire.annotation import Annotation
from bg_di.wire.remedies import type_name
from bg_di.wire.text import MAX_MESSAGE_BYTES, is_json, is_text, to_json
from bg_di.wire.writer import CannotTravel, write

_BY_NAME = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.KEYWORD_ONLY}
_BY_POSITION = {Parameter.POSITIONAL_OR_KEYWORD, Parameter.POSITIONAL_ONLY}


class CallFormat:
    """How the calls of one declared task travel. Keep it: what it learns of annotations is learnt once.

    Args:
        func: the task; if it is a service's, as it is found on the class.
        needs: the names of the parameters that the container fills, which do not travel.

    Attributes:
        name: of the task.
        shape: the same wherever the task takes the same parameters with the same annotations.

    Raises:
        TypeError: `func` is not declared, or is bound to an object.
    """

    def __init__(self, func: Callable[..., Any], needs: Collection[str] = ()) -> None:
        declaration = declared(func)
        if declaration is None:
            raise TypeError(f"add_task() cannot send {name_of(func)}: put @background_task on it")
        if isinstance(func, MethodType) and not isinstance(func.__self__, type):
            raise TypeError(
                f"add_task() cannot send {declaration.name}: it is bound to an object, which stays here; "
                f"pass {type(func.__self__).__name__}.{func.__name__}"
            )
        self.name = declaration.name
        self._func = inspect.unwrap(func)
        self._needs = frozenset(needs)
        signature = inspect.signature(func)
        own = list(signature.parameters.values())[declaration.service is not None :]
        self._signature = signature.replace(parameters=own)
        self.shape = _shape(own)
        self._annotations: dict[str, Annotation] = {}

    def encode(
        self, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, max_bytes: int = MAX_MESSAGE_BYTES
    ) -> dict[str, Any]:
        """A call's arguments as what JSON can hold; defaults that are not given are not among them.

        Args:
            args, kwargs: as given to `add_task`.
            max_bytes: of the JSON, in UTF-8.

        Raises:
            TypeError: an argument cannot travel, or does not fit. The text names it and its type, not its value.
        """
        try:
            parameters = self._bind(args, kwargs)
        except TypeError as error:
            refuse_arguments(self._func, error)
        named = zip(parameters, [*args, *kwargs.values()], strict=True)
        written = [self._encode(name, parameter, value, max_bytes) for (name, parameter), value in named]
        encoded = {"args": written[: len(args)], "kwargs": dict(zip(kwargs, written[len(args) :], strict=True))}
        if len(to_json(encoded)) > max_bytes:
            raise TypeError(
                f"add_task() cannot send {self.name}: its arguments are larger than the {max_bytes} bytes of "
                "max_message_bytes; pass where they are kept"
            )
        return encoded

    def decode(self, arguments: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """The ``args`` and ``kwargs`` of what `encode` made, or somebody else.

        Conversions are pydantic's: an annotation that was widened since the task was added gets what it now says.

        Raises:
            MessageMalformed: they are not arguments of this task. The reason does not repeat them.
        """
        match arguments:
            case {"args": list(args), "kwargs": dict(kwargs)} if all(type(key) is str for key in kwargs):
                parameters = self._fitting(args, kwargs)
            case _:
                raise MessageMalformed(f"the arguments of {self.name} are not args and kwargs")
        if parameters is None:
            raise MessageMalformed(f"the arguments do not fit {self.name}{self._signature}")
        named = zip(parameters, [*args, *kwargs.values()], strict=True)
        values = [self._decode(parameter, written) for (_, parameter), written in named]
        return tuple(values[: len(args)]), dict(zip(kwargs, values[len(args) :], strict=True))

    def _fitting(self, args: Collection[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Parameter]] | None:
        try:
            return self._bind(args, kwargs)
        except TypeError:
            return None

    def _bind(self, args: Collection[Any], kwargs: Mapping[str, Any]) -> list[tuple[str, Parameter]]:
        """What each argument is called, and the parameter that it is for.

        Raises:
            TypeError: they do not fit, or leave no room for what the container fills.
        """
        given = self._needs & kwargs.keys()
        if given:
            raise TypeError(f"{min(given)!r} is filled by the container where the task runs")
        self._signature.bind(*args, **kwargs, **dict.fromkeys(self._needs))
        by_position = [(parameter.name, parameter) for parameter, _ in zip(self._positions(), args, strict=False)]
        return by_position + [(name, self._named(name)) for name in kwargs]

    def _positions(self) -> Iterator[Parameter]:
        every = self._signature.parameters.values()
        rest = (repeat(each) for each in every if each.kind is each.VAR_POSITIONAL)
        return chain((each for each in every if each.kind in _BY_POSITION), *rest)

    def _named(self, name: str) -> Parameter:
        parameter = self._signature.parameters.get(name)
        if parameter is not None and parameter.kind in _BY_NAME:
            return parameter
        return next(each for each in self._signature.parameters.values() if each.kind is each.VAR_KEYWORD)

    def _encode(self, name: str, parameter: Parameter, value: Any, max_bytes: int) -> Any:
        try:
            if not is_text(name):
                raise CannotTravel("has a name that is no text")
            return self._usable(parameter, value, max_bytes).encode(value, max_bytes)
        except CannotTravel as error:
            shown = name.encode(errors="backslashreplace").decode()
            raise TypeError(
                f"add_task() cannot send {self.name}: the argument {shown!r}, a {type_name(value)!r}, {error}"
            ) from None

    def _usable(self, parameter: Parameter, value: Any, max_bytes: int) -> Annotation:
        try:
            return self._annotation(parameter)
        except CannotTravel:
            write(value, max_bytes)  # may know better why
            raise

    def _decode(self, parameter: Parameter, written: Any) -> Any:
        try:
            return self._annotation(parameter).decode(written)
        except CannotTravel as error:
            reason = str(error)
        except MessageMalformed as error:
            reason = error.reason
        raise MessageMalformed(f"the argument {parameter.name!r} of {self.name} {reason}")

    def _annotation(self, parameter: Parameter) -> Annotation:
        known = self._annotations.get(parameter.name)
        if known is None:
            known = self._annotations[parameter.name] = Annotation(self._func, parameter)
        return known


def _shape(parameters: Iterable[Parameter]) -> str:
    # Without defaults, which are the worker's own, and whose words may have an address in them.
    told = [f"{each.kind.name} {each.name}: {inspect.formatannotation(each.annotation)}" for each in parameters]
    return sha256("\n".join(told).encode(errors="backslashreplace")).hexdigest()[:16]


def carry(task: str, variables: Mapping[str, Any], *, max_bytes: int = MAX_MESSAGE_BYTES) -> dict[str, Any]:
    """Context variables as they may travel: nothing says of what type they are, so they are of JSON's own.

    Args:
        task: the name of the one that they go with.
        variables: the values, by name.
        max_bytes: bounds the work.

    Raises:
        TypeError: one is not. The text names it and its type, not its value.
    """
    for name, value in variables.items():
        try:
            write(value, max_bytes)
            fits = is_json(value)
        except CannotTravel:
            fits = False
        if not fits:
            raise TypeError(
                f"add_task() cannot send {task}: the context variable {name!r} of carry=, a {type_name(value)!r}, "
                "is not of JSON's own types alone; leave it out, or set it to what is"
            )
    return dict(variables)
