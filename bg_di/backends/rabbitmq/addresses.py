"""Where brokers are. A URL has a password, so only what is named here may be said of it."""

from collections.abc import Sequence
from typing import Any, Final

from yarl import URL

from bg_di.errors import InvalidOptions

_SCHEMES: Final = {"amqp": 5672, "amqps": 5671}


def parsed(given: Any) -> tuple[URL, ...]:
    """The URLs of the nodes of a broker, from what a user gives.

    Raises:
        InvalidOptions: there is none, or one that is no URL of a broker. It does not repeat it.
    """
    several = (given,) if isinstance(given, str) else given
    if not isinstance(several, list | tuple) or not several:
        raise _wrong("give a URL, or a list of the URLs of a cluster's nodes")
    return tuple(_parsed(each) for each in several)


def named(urls: Sequence[URL]) -> str:
    """How addresses are called in errors and in logs."""
    return "RabbitMQ at " + ", ".join(map(place, urls))


def place(url: URL) -> str:
    """The host, the port and the vhost of one."""
    return f"{url.host}:{url.port or _SCHEMES[url.scheme]}{url.path.rstrip('/')}"


def _parsed(given: Any) -> URL:
    try:
        url = URL(given)
    except (TypeError, ValueError):
        raise _wrong("it is no URL") from None
    if url.scheme not in _SCHEMES or not url.host:
        raise _wrong("give one like amqp://user:password@host:5672/vhost, or amqps:// for TLS")
    return url


def _wrong(remedy: str) -> InvalidOptions:
    return InvalidOptions(f"RabbitBackend(url=…): {remedy}")
