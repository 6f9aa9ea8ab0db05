"""What backends can do, as they say it themselves."""

from typing import Final, get_args

from bg_di.backends import Backend, Capability, InProcessBackend
from bg_di.backends.capabilities import incapable
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.sqlite import SqliteBackend

_BACKENDS: Final[tuple[type[Backend], ...]] = (InProcessBackend, SqliteBackend, RabbitBackend)


def capabilities() -> str:
    """A table of them, and of who has them."""
    rows = [f"| `{each}` | {_meaning(each)} | {' | '.join(_yes(each))} |" for each in get_args(Capability)]
    heads = " | ".join(f"`{backend.__name__}`" for backend in _BACKENDS)
    return "\n".join([f"| capability | it can | {heads} |", "|---|---|---|---|---|", *rows])


def _meaning(capability: Capability) -> str:
    return incapable([], capability).partition("cannot ")[2].partition(" (")[0]


def _yes(capability: Capability) -> list[str]:
    return ["yes" if capability in backend.capabilities else "no" for backend in _BACKENDS]
