"""How a call travels to an engine, and back."""

from bg_di.wire.arguments import CallFormat, carry
from bg_di.wire.envelope import VERSION, Envelope, fitting
from bg_di.wire.text import MAX_MESSAGE_BYTES

__all__ = ["MAX_MESSAGE_BYTES", "VERSION", "CallFormat", "Envelope", "carry", "fitting"]
