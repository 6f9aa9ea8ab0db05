"""Whether a value came back as it was: equal, and of the same types down to the last part.

An `int` where a `float` is annotated may come back as one, if that is equal: to type checkers it is one (PEP 484).
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime, time, timezone, tzinfo
from decimal import Decimal
from functools import cached_property
from itertools import starmap
from typing import Any, Final
from zoneinfo import ZoneInfo

from pydantic import BaseModel, Secret, SecretBytes, SecretStr
from pydantic_core import TzInfo

from bg_di.wire.remedies import type_name
from bg_di.wire.writer import is_record

_Pairs = Iterable[tuple[Any, Any]]
# Pydantic makes one of its own of what it reads as JSON.
_FIXED: Final = (timezone, TzInfo)


def difference(sent: Any, back: Any) -> str | None:
    """What is first not the same, said by its types and never by its value; None if nothing is."""
    if sent is back:
        return None
    if type(sent) is not type(back):
        if type(sent) is int and type(back) is float and sent == back:
            return None
        return f"a {type_name(sent)!r} would come back as a {type_name(back)!r}"
    pairs = _pairs(sent, back)
    if pairs is None:
        return f"a {type_name(sent)!r} would not come back equal"
    return next(filter(None, starmap(difference, pairs)), None)


def _pairs(sent: Any, back: Any) -> _Pairs | None:
    """The parts to compare; None if the two differ by themselves."""
    if isinstance(sent, BaseModel):
        return [(_state(sent), _state(back))]
    if is_record(sent):
        return [(_attributes(sent), _attributes(back))]
    if isinstance(sent, Mapping):
        return _by_key(sent, back)
    if isinstance(sent, set | frozenset):
        return _by_key(dict.fromkeys(sent), dict.fromkeys(back))
    if isinstance(sent, list | tuple | deque):
        same = len(sent) == len(back) and getattr(sent, "maxlen", None) == getattr(back, "maxlen", None)
        return zip(sent, back, strict=True) if same else None
    if isinstance(sent, Secret | SecretStr | SecretBytes):
        return [(sent.get_secret_value(), back.get_secret_value())]
    return () if _same(sent, back) else None


def _by_key(sent: Mapping[Any, Any], back: Mapping[Any, Any]) -> _Pairs | None:
    if sent.keys() != back.keys() or getattr(sent, "default_factory", None) != getattr(back, "default_factory", None):
        return None
    # Keys that are equal may differ in their types.
    keys = {key: key for key in back}
    return [pair for key, value in sent.items() for pair in ((key, keys[key]), (value, back[key]))]


def _state(model: BaseModel) -> tuple[Any, ...]:
    held = {name: value for name, value in model.__dict__.items() if name in type(model).model_fields}
    return held, model.__pydantic_extra__, model.__pydantic_private__, model.__pydantic_fields_set__


def _attributes(value: Any) -> Mapping[str, Any]:
    held = {each.name: getattr(value, each.name) for each in fields(value)} | getattr(value, "__dict__", {})
    cached = {name for name in held if isinstance(getattr(type(value), name, None), cached_property)}
    return {name: item for name, item in held.items() if name not in cached}


def _same(sent: Any, back: Any) -> bool:
    if isinstance(sent, datetime | time):
        naive = (sent.replace(tzinfo=None), sent.fold) == (back.replace(tzinfo=None), back.fold)
        return naive and _same_zone(sent.tzinfo, back.tzinfo)
    if isinstance(sent, Decimal):
        return bool(sent.as_tuple() == back.as_tuple())
    return bool(sent == back)


def _same_zone(sent: tzinfo | None, back: tzinfo | None) -> bool:
    if isinstance(sent, _FIXED) and isinstance(back, _FIXED):
        return sent.utcoffset(None) == back.utcoffset(None)
    if isinstance(sent, ZoneInfo) and isinstance(back, ZoneInfo):
        return sent.key == back.key
    return sent is back
