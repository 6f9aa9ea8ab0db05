"""Make Python values again of what `writer` made: of a closed set of types, none of them found by a message's word."""

import base64
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import cache
from typing import Any, Final
from uuid import UUID
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, RootModel, SecretBytes, SecretStr

from bg_di.wire.writer import is_bounded, is_record, looks_like_a_tag


class Reader:
    """Reads one value.

    Args:
        enums: classes by their names, as `name_of` says them; of others only the values are read.
    """

    def __init__(self, enums: Mapping[str, type[Enum]]) -> None:
        self.enums = enums
        # The fields of models that were not set; the dict keeps its identity.
        self._unset: dict[int, tuple[dict[str, Any], list[str]]] = {}

    def read(self, written: Any) -> Any:
        """The value of `written`.

        Raises:
            Exception: it is none of ours.
        """
        if isinstance(written, list):
            return [self.read(each) for each in written]
        if not isinstance(written, dict):
            return written
        if looks_like_a_tag(written):
            [(tag, content)] = written.items()
            return _READERS[tag](self, content)
        return {key: self.read(item) for key, item in written.items()}

    def fields(self, written: dict[str, Any], unset: list[str]) -> dict[str, Any]:
        """Those of a model."""
        held = {name: self.read(item) for name, item in written.items()}
        if unset:
            self._unset[id(held)] = (held, unset)
        return held

    def forget_unset(self, made: Any, read: Any) -> None:
        """Tell the models in `made`, which was made of `read`, which of their fields were not set."""
        if not self._unset:
            return
        if isinstance(made, RootModel):
            made = made.root
        if isinstance(made, BaseModel) and id(read) in self._unset:
            made.model_fields_set.difference_update(self._unset[id(read)][1])
        for pair in _parts(made, read):
            self.forget_unset(*pair)


def _parts(made: Any, read: Any) -> Iterable[tuple[Any, Any]]:
    if isinstance(read, list | tuple):
        # What was made of one that is not iterated has no models of ours.
        return zip(made, read, strict=False) if isinstance(made, Sequence) else ()
    if not isinstance(read, dict):
        return ()
    if isinstance(made, BaseModel):
        held = made.__dict__ | (made.__pydantic_extra__ or {})
    elif is_record(made):
        held = {name: getattr(made, name, None) for name in read}
    elif isinstance(made, dict):
        held = made
    else:
        return ()
    return [(held.get(key), item) for key, item in read.items()]


def _exactly(kind: type, value: Any) -> Any:
    if type(value) is not kind:
        raise TypeError(f"not a {kind.__name__}")
    return value


def _read_decimal(_: Reader, content: Any) -> Decimal:
    value = Decimal(_exactly(str, content))
    if not is_bounded(value):
        raise ValueError("out of bounds")
    return value


def _read_moment(kind: type[datetime] | type[time]) -> Callable[[Reader, Any], Any]:
    def read_moment(_: Reader, content: Any) -> Any:
        text, fold, zone = content
        moment = kind.fromisoformat(text).replace(fold=fold)
        return moment if zone is None else moment.replace(tzinfo=_zone(zone))

    return read_moment


def _zone(key: str) -> ZoneInfo:
    # Nothing else may make `ZoneInfo` look for a file, or a module.
    if key not in _zones():
        raise ValueError("no such zone")
    return ZoneInfo(key)


@cache
def _zones() -> set[str]:
    return available_timezones()


def _read_timedelta(_: Reader, content: Any) -> timedelta:
    days, seconds, microseconds = (_exactly(int, each) for each in content)
    return timedelta(days, seconds, microseconds)


def _read_secret(reader: Reader, content: Any) -> SecretStr | SecretBytes:
    secret = reader.read(content)
    return SecretBytes(secret) if isinstance(secret, bytes) else SecretStr(_exactly(str, secret))


def _read_model(reader: Reader, content: Any) -> dict[str, Any]:
    written, unset = content
    return reader.fields(_exactly(dict, written), [_exactly(str, name) for name in unset])


def _read_dict(reader: Reader, content: Any) -> dict[Any, Any]:
    return {reader.read(key): reader.read(item) for key, item in content}


def _read_set(kind: Callable[[Any], Any]) -> Callable[[Reader, Any], Any]:
    def read_set(reader: Reader, content: Any) -> Any:
        items = reader.read(_exactly(list, content))
        try:
            return kind(items)
        except TypeError:  # of models, which the annotation makes first
            return items

    return read_set


def _read_enum(reader: Reader, content: Any) -> Any:
    name, written = content
    value = reader.read(written)
    kind = reader.enums.get(name)
    return value if kind is None else kind(value)


_READERS: Final[Mapping[str, Callable[[Reader, Any], Any]]] = {
    "$int": lambda _, content: int(_exactly(str, content), 16),
    "$dict": _read_dict,
    "$tuple": lambda reader, content: tuple(reader.read(_exactly(list, content))),
    "$set": _read_set(set),
    "$frozenset": _read_set(frozenset),
    "$bytes": lambda _, content: base64.b64decode(_exactly(str, content), validate=True),
    "$datetime": _read_moment(datetime),
    "$time": _read_moment(time),
    "$date": lambda _, content: date.fromisoformat(content),
    "$timedelta": _read_timedelta,
    "$decimal": _read_decimal,
    "$uuid": lambda _, content: UUID(hex=_exactly(str, content)),
    "$secret": _read_secret,
    "$model": _read_model,
    "$enum": _read_enum,
}
