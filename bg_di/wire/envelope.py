"""What goes to an engine for one task: its call, and what a worker must know around it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from bg_di.errors import MessageMalformed, MessageVersionUnknown
from bg_di.wire.text import MAX_MESSAGE_BYTES, from_json, is_deep, is_json, to_json

VERSION: Final = 1
_MAX_NAME: Final = 1024
_MAX_SECONDS: Final = 366 * 24 * 3600.0
_MAX_VERSION: Final = 2**31
_MAX_TRACE: Final = 16
# The last second that a datetime has.
_MAX_TIME: Final = 253402300799


@dataclass(frozen=True, slots=True, kw_only=True)
class Envelope:
    """One task on its way; version 1.

    Later versions of bg_di and earlier ones work on an engine side by side. What an earlier worker may safely not know
    is added to version 1 as a key that can be left out: keys that are not known are ignored, those that are left out
    have their defaults. What changes how a task must be run comes with a new version, which an earlier worker leaves
    to others. So an engine keeps the bytes that it was given, and never those of an envelope that it has read.

    Attributes:
        task_id: the same wherever the task is seen.
        application: the name of the one that added it.
        name: of the task.
        arguments: as `CallFormat.encode` made them.
        added_at: in seconds since the epoch.
        module: of the code that added it, whose injector supplies its dependencies; None for the root.
        trace: what tracing sends along, such as ``traceparent``.
        carried: context variables by their names, as `carry` lets them pass.
        timeout, delay: in seconds, if this call has its own.
        shape: of the task where it was added, as `CallFormat` has it. A worker that knows it by another one leaves what
            it cannot read to others.
    """

    task_id: str
    application: str
    name: str
    # They may be secret, and a record is soon in a log.
    arguments: Mapping[str, Any] = field(repr=False)
    added_at: float
    module: str | None = None
    trace: Mapping[str, str] = field(default_factory=dict, repr=False)
    carried: Mapping[str, Any] = field(default_factory=dict, repr=False)
    timeout: float | None = None
    delay: float | None = None
    shape: str | None = None

    def to_bytes(self, *, max_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
        """The message.

        Raises:
            TypeError: it is larger than `max_bytes`, or a part is none that `from_bytes` would take.
        """
        parts = {name: getattr(self, name) for name in _PARTS}
        message = b""
        try:
            problem = _wrong(parts)
            if problem is None:
                message = to_json({"version": VERSION, **parts})
        except (ValueError, RecursionError):
            # Nothing but these has room for numbers that are not finite, text that is none, or itself.
            problem = "what it carries is no JSON"
        if problem is None and len(message) > max_bytes:
            problem = f"it is larger than the {max_bytes} bytes of max_message_bytes; pass where its arguments are kept"
        if problem is not None:
            raise TypeError(f"add_task() cannot send {self.name}: of its message, {problem}")
        return message

    @classmethod
    def from_bytes(cls, data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> "Envelope":
        """The envelope of a message.

        Raises:
            MessageVersionUnknown: it was written by a later version.
            MessageMalformed: it is no message. The reason does not repeat it.
        """
        message = from_json(data, max_bytes)
        _check_version(message)
        parts = {name: message[name] for name in _PARTS if name in message}
        problem = _wrong(parts)
        if problem is not None:
            raise MessageMalformed(problem)
        return cls(**parts)


def fitting(trace: Mapping[str, str]) -> dict[str, str]:
    """As much of a trace context as a message takes: its baggage may come from a client, who is to spoil no task."""
    fits = [(name, value) for name, value in trace.items() if _is_name(name) and _is_name(value)]
    return dict(fits[:_MAX_TRACE])


def _check_version(message: Any) -> None:
    version = message.get("version") if isinstance(message, dict) else None
    if type(version) is not int or not VERSION <= version <= _MAX_VERSION:
        raise MessageMalformed("it does not begin as a message does, with its version")
    if version > VERSION:
        raise MessageVersionUnknown(version)


def _wrong(parts: Mapping[str, Any]) -> str | None:
    absent = _REQUIRED - parts.keys()
    if absent:
        return f"its {min(absent)} is missing"
    wrong = [name for name, value in parts.items() if not _PARTS[name](value)]
    if wrong:
        return f"its {wrong[0]} is not one"
    return "it is nested too deep" if is_deep(parts) else None


def _is_name(value: Any) -> bool:
    return type(value) is str and 0 < len(value) <= _MAX_NAME


def _is_object(value: Any) -> bool:
    return type(value) is dict and is_json(value)


def _is_trace(value: Any) -> bool:
    return type(value) is dict and len(value) <= _MAX_TRACE and all(map(_is_name, (*value, *value.values())))


def _is_seconds(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= _MAX_SECONDS


def _is_time(value: Any) -> bool:
    return type(value) in {int, float} and 0 <= value <= _MAX_TIME


def _or_none(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_REQUIRED: Final = {"task_id", "application", "name", "arguments", "added_at"}
_PARTS: Final[Mapping[str, Callable[[Any], bool]]] = {
    "task_id": _is_name,
    "application": _is_name,
    "module": _or_none(_is_name),
    "name": _is_name,
    "arguments": _is_object,
    "added_at": _is_time,
    "trace": _is_trace,
    "carried": _is_object,
    "timeout": _or_none(_is_seconds),
    "delay": _or_none(_is_seconds),
    "shape": _or_none(_is_name),
}
