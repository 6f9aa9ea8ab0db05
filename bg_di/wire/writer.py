"""Python values as what JSON holds, and back, with nothing lost and no class named that would be imported.

JSON's own types are themselves. What else has a type that anybody knows is an object with one key that starts with
``$``: ``{"$uuid": "…"}``. A dict of the user's that looks like one becomes a ``$dict``, so data never passes for a tag.
Models and dataclasses are written by the names of their fields, whatever their own configuration says of aliases,
bytes or secrets; the annotation makes them again.
"""

import base64
import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo

from pydantic import BaseModel, RootModel, Secret, SecretBytes, SecretStr
from pydantic_core import to_jsonable_python

from bg_di.declaring.binding import name_of
from bg_di.wire.remedies import remedy, type_name
from bg_di.wire.text import is_text

MAX_DEPTH: Final = 64
# A decimal with a great exponent, or with many digits, takes all memory and time once it is made an integer.
_MAX_DIGITS: Final = 6144
# Python refuses to write longer integers as decimals.
_PLAIN_INTEGERS: Final = 2**256


class CannotTravel(TypeError):
    """A value cannot be written. The text is a clause about it, and does not repeat it."""


class UnknownType(CannotTravel):
    """Only pydantic may know how to write it, if its annotation says so."""


def write(value: object, max_bytes: int) -> Any:
    """What JSON can hold of `value`, such that `read` makes it again.

    Args:
        value: what is to travel.
        max_bytes: bounds the work; the size of the JSON is for the caller to check.

    Raises:
        CannotTravel: `value` cannot be written.
    """
    return _Writer(max_bytes).write(value)


class _Writer:
    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = self._left = max_bytes
        self._depth = 0

    def write(self, value: Any) -> Any:
        self._spend(1)
        if self._depth == MAX_DEPTH:
            raise CannotTravel(f"is nested deeper than {MAX_DEPTH} levels, or holds itself")
        self._depth += 1
        kind = type(value)
        written = _WRITERS[kind](self, value) if kind in _WRITERS else _write_other(self, value)
        self._depth -= 1
        return written

    def many(self, values: Iterable[Any]) -> list[Any]:
        return [self.write(value) for value in values]

    def sized(self, value: Any) -> Any:
        self._spend(len(value))
        return value

    def _spend(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise CannotTravel(
                f"is larger than the {self._max_bytes} bytes of max_message_bytes; pass where it is kept"
            )


def _write_int(_: _Writer, value: int) -> Any:
    return value if abs(value) < _PLAIN_INTEGERS else {"$int": f"{value:x}"}


def _write_float(_: _Writer, value: float) -> float:
    if not math.isfinite(value):
        raise CannotTravel("holds a float that is not finite, which JSON does not have; pass None for it")
    return value


def _write_str(writer: _Writer, value: str) -> str:
    writer.sized(value)
    if not is_text(value):
        raise CannotTravel("holds a str with surrogates, which is no text that UTF-8 has; pass bytes")
    return value


def _write_decimal(_: _Writer, value: Decimal) -> Any:
    if not is_bounded(value):
        raise CannotTravel(f"holds a Decimal that is not finite, or has more than {_MAX_DIGITS} digits or zeros")
    return {"$decimal": str(value)}


def is_bounded(value: Decimal) -> bool:
    """Whether it is a number whose size is not out of all bounds."""
    _, digits, exponent = value.as_tuple()
    return isinstance(exponent, int) and max(abs(exponent), len(digits)) <= _MAX_DIGITS


def _write_moment(tag: str) -> Callable[[_Writer, Any], Any]:
    def write_moment(_: _Writer, value: datetime | time) -> Any:
        zone = value.tzinfo.key if isinstance(value.tzinfo, ZoneInfo) else None
        text = (value if zone is None else value.replace(tzinfo=None)).isoformat()
        return {tag: [text, value.fold, zone]}

    return write_moment


def _write_dict(writer: _Writer, value: Mapping[Any, Any]) -> Any:
    if all(type(key) is str for key in value) and not looks_like_a_tag(value):
        return {_write_str(writer, key): writer.write(item) for key, item in value.items()}
    return {"$dict": [writer.many(pair) for pair in value.items()]}


def looks_like_a_tag(value: Mapping[str, Any]) -> bool:
    return len(value) == 1 and next(iter(value)).startswith("$")


def _write_model(writer: _Writer, value: BaseModel) -> Any:
    named = {name: value.__dict__[name] for name in type(value).model_fields if name in value.__dict__}
    held = named | (value.__pydantic_extra__ or {})
    # What was set, not by default: `exclude_unset` asks.
    unset = sorted(held.keys() - value.model_fields_set)
    written = [[_write_str(writer, name), writer.write(item)] for name, item in held.items()]
    return {"$model": [dict(written), unset]}


def is_record(value: object) -> bool:
    """Whether it is an instance of a dataclass."""
    return is_dataclass(value) and not isinstance(value, type)


def _write_dataclass(writer: _Writer, value: Any) -> Any:
    return _write_dict(writer, {each.name: getattr(value, each.name) for each in fields(value) if each.init})


def _write_other(writer: _Writer, value: Any) -> Any:
    """Subclasses: the annotation makes them from what they hold."""
    if isinstance(value, Enum):
        return {"$enum": [name_of(type(value)), writer.write(value.value)]}
    if isinstance(value, RootModel):
        return writer.write(value.root)
    if isinstance(value, BaseModel):
        return _write_model(writer, value)
    if is_record(value):
        return _write_dataclass(writer, value)
    if isinstance(value, Secret | SecretStr | SecretBytes):
        return writer.write(value.get_secret_value())
    for base in (dict, tuple, list, set, frozenset):
        if isinstance(value, base):
            return _WRITERS[base](writer, value)
    return writer.many(value) if isinstance(value, deque) else _write_foreign(writer, value)


def _write_foreign(writer: _Writer, value: Any) -> Any:
    """What pydantic writes as JSON, such as paths and addresses; the annotation may make it from that again."""
    # Whatever can be called or is gone through once is not looked at.
    if not callable(value) and not isinstance(value, Iterator):
        with suppress(ValueError):  # pydantic's own, or bytes that are no text
            return writer.write(to_jsonable_python(value))
    raise UnknownType(f"holds a {type_name(value)!r}, which cannot leave the process; {remedy(value)}")


_WRITERS: Final[Mapping[type, Callable[[_Writer, Any], Any]]] = {
    type(None): lambda _, value: value,
    bool: lambda _, value: value,
    int: _write_int,
    float: _write_float,
    str: _write_str,
    list: lambda writer, value: writer.many(value),
    dict: _write_dict,
    tuple: lambda writer, value: {"$tuple": writer.many(value)},
    set: lambda writer, value: {"$set": writer.many(value)},
    frozenset: lambda writer, value: {"$frozenset": writer.many(value)},
    bytes: lambda writer, value: {"$bytes": base64.b64encode(writer.sized(value)).decode()},
    datetime: _write_moment("$datetime"),
    time: _write_moment("$time"),
    date: lambda _, value: {"$date": value.isoformat()},
    timedelta: lambda _, value: {"$timedelta": [value.days, value.seconds, value.microseconds]},
    Decimal: _write_decimal,
    UUID: lambda _, value: {"$uuid": value.hex},
    SecretStr: lambda writer, value: {"$secret": writer.write(value.get_secret_value())},
    SecretBytes: lambda writer, value: {"$secret": writer.write(value.get_secret_value())},
}
