"""Values as users type them in options, checked where they are written."""

import math
from datetime import timedelta
from typing import Any

from bg_di.errors import InvalidOptions

Seconds = float | timedelta
"""A duration: seconds as a number, or a timedelta."""


def seconds(value: Seconds) -> float:
    """A duration as a number."""
    return value.total_seconds() if isinstance(value, timedelta) else value


def duration(of: str, key: str, value: Any) -> float:
    """Refuse what is no duration.

    Returns:
        Its seconds.

    Raises:
        InvalidOptions: naming what the option belongs to, the option, its value and what to give instead.
    """
    number = seconds(value)
    if type(number) not in {int, float} or not 0 <= number < math.inf:
        raise wrong(of, key, value, "give seconds, as a number or a timedelta, that are not negative")
    return float(number)


def positive(of: str, key: str, value: Any) -> float:
    """Refuse what is no duration, or takes no time; otherwise as `duration`."""
    number = duration(of, key, value)
    if not number:
        raise wrong(of, key, value, "give seconds, as a number or a timedelta, above zero")
    return number


def is_number(value: Any) -> bool:
    """Whether something can be counted up to it; what is true or false is no number."""
    return type(value) is int and value >= 1


def wrong(of: str, key: str, value: object, remedy: str) -> InvalidOptions:
    """The error for a value."""
    return InvalidOptions(f"{of}({key}={value!r}): {remedy}")
