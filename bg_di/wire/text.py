"""JSON as bytes, strictly: what two readers could understand differently is refused."""

import json
import math
from typing import Any, Final

from bg_di.errors import MessageMalformed

MAX_MESSAGE_BYTES: Final = 256 * 1024
# The deepest arguments and their tags, and the envelope around them.
_MAX_DEPTH: Final = 256
_SCALARS: Final = (type(None), bool, int, float, str)


def to_json(value: Any) -> bytes:
    """`value` in UTF-8; it holds nothing but JSON's own types, and text that UTF-8 has."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()


def from_json(data: bytes, max_bytes: int) -> Any:
    """What `data` holds.

    Raises:
        MessageMalformed: it is too large or too deep, or no JSON in UTF-8, or has a key twice in an object, a number
            that is not finite, or text with surrogates.
    """
    if len(data) > max_bytes:
        raise MessageMalformed(f"it is larger than {max_bytes} bytes")
    value = None
    try:
        value = json.loads(data.decode(), object_pairs_hook=_object, parse_float=_finite, parse_constant=_finite)
        if b"\\u" in data:
            to_json(value)  # finds surrogates
        problem = f"it is nested deeper than {_MAX_DEPTH} levels" if is_deep(value) else None
    except (ValueError, RecursionError) as error:
        problem = f"it is no JSON that could be read ({type(error).__name__})"
    # Outside of the handler: the error's context would hold the content.
    if problem is not None:
        raise MessageMalformed(problem)
    return value


def is_json(value: Any) -> bool:
    """Whether `value` and all that it holds is of JSON's own types."""
    if type(value) is list:
        return all(map(is_json, value))
    if type(value) is dict:
        return all(type(key) is str for key in value) and all(map(is_json, value.values()))
    return type(value) in _SCALARS


def is_text(value: str) -> bool:
    """Whether UTF-8 has it: it has no surrogates."""
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) != len(pairs):
        raise ValueError("a key is there twice")
    return value


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("a number is not finite")
    return value


def is_deep(value: Any) -> bool:
    """Whether what `from_json` would make of `value` is more than it takes."""
    level = [value]
    for _ in range(_MAX_DEPTH):
        level = [
            each
            for held in level
            if isinstance(held, dict | list)
            for each in (held.values() if isinstance(held, dict) else held)
        ]
    return bool(level)
