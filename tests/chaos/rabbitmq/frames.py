"""What of AMQP passes on a connection, so that it can be cut in the midst of anything."""

import struct
from collections.abc import Iterator
from typing import Final, Literal, get_args

Phase = Literal["connecting", "publishing", "consuming", "acknowledging"]
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)

_GREETING: Final = b"AMQP\x00\x00\x09\x01"
_HEAD: Final = 7
_METHOD: Final = 1
_HEARTBEAT: Final = 8
_BASIC: Final = 60
_PUBLISH, _RETURN, _ACK, _NACK = 40, 50, 80, 120


class Frames:
    """Those that pass in one direction.

    Args:
        forth: whether to the broker.
    """

    def __init__(self, *, forth: bool) -> None:
        self._forth = forth
        self._begun = b""
        self._phase: Phase = "connecting"

    def end(self, some: bytes) -> Iterator[tuple[int, int, Phase]]:
        """Each frame that ends in what comes next: where it begins there, where it ends, and what it belongs to."""
        known = len(self._begun)
        data = self._begun + some
        begin = len(_GREETING) if data.startswith(_GREETING) else 0
        while len(data) >= begin + _HEAD:
            kind, _, size = struct.unpack_from(">BHL", data, begin)
            end = begin + _HEAD + size + 1
            if len(data) < end:
                break
            if kind == _METHOD:
                self._phase = self._phase_of(*struct.unpack_from(">HH", data, begin + _HEAD))
            if kind != _HEARTBEAT:
                yield max(0, begin - known), end - known, self._phase
            begin = end
        self._begun = data[begin:]

    def _phase_of(self, kind: int, method: int) -> Phase:
        if kind != _BASIC:
            return "connecting"
        if method in {_PUBLISH, _RETURN}:
            return "publishing"
        if method in {_ACK, _NACK}:
            return "acknowledging" if self._forth else "publishing"
        return "consuming"
