"""What an application says of the broker that its tasks are on."""

from collections.abc import Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import ClassVar, Final

from bg_di.backends.backend import Backend
from bg_di.backends.capabilities import Capability
from bg_di.backends.rabbitmq.addresses import parsed
from bg_di.backends.rabbitmq.dial import Dial
from bg_di.backends.rabbitmq.engine import RabbitEngine
from bg_di.backends.rabbitmq.terms import Terms
from bg_di.errors import InvalidOptions
from bg_di.values import Seconds, is_number, positive, seconds, wrong

# What AMQP has room for in the name of a queue, less what stands before the application's.
_LONGEST_NAME: Final = 200
# RabbitMQ has 16 bits for a prefetch, and its queues a limit of deliveries of their own.
_LARGEST: Final = {"concurrency": 65_535, "max_deliveries": 100, "heartbeat": 65_534}
# Less could not be told to the client, which counts in whole seconds.
_SHORTEST_HEARTBEAT: Final = 3


@dataclass(frozen=True, slots=True)
class RabbitBackend(Backend):
    """Keeps tasks on RabbitMQ: many machines, and one broker, of one node or a cluster.

    Each application has a quorum queue under its name, another one for what is dead, and those in which tasks pass the
    time until they are due. A task is accepted when the broker has confirmed it.

    Attributes:
        url: ``amqp://user:password@host:5672/vhost``, or ``amqps://`` for TLS with the query parameters of aio-pika
            (``cafile``, ``certfile``, ``keyfile``); a list of them for the nodes of a cluster. It is never shown.
        concurrency: how many tasks a worker runs at once, and how many the broker gives it at once.
        embedded: whether the application itself runs a worker.
        max_deliveries: so often an attempt is delivered, if its workers die or their connections break, before it is
            dead; at most 100.
        max_message_bytes: of one task.
        unknown_after: seconds that a task waits for a worker that knows it, before it is dead, counted from when the
            first worker did not.
        heartbeat: whole seconds, at least 3; a connection is given up from which nothing has come for three times as
            long.
        publish_timeout: seconds to wait for the broker's confirmation, the connection included; less than
            `accept_timeout`, or what could be called refused is unknown.
        consumer_timeout: seconds after which the broker takes back what a worker has not ended: its own setting, which
            it does not tell. Tasks with a longer `timeout` are refused. None: it has been switched off.

    Raises:
        InvalidOptions: a value is wrong.
    """

    capabilities: ClassVar[frozenset[Capability]] = frozenset({"delay", "dead", "counts"})

    url: str | Sequence[str] = field(repr=False)
    _: KW_ONLY
    concurrency: int = 10
    embedded: bool = True
    max_deliveries: int = 5
    max_message_bytes: int = 256 * 1024
    unknown_after: Seconds = 3600.0
    heartbeat: int = 10
    publish_timeout: Seconds = 4.0
    consumer_timeout: Seconds | None = 1800.0

    @property
    def longest(self) -> Seconds | None:
        return self.consumer_timeout

    def __post_init__(self) -> None:
        parsed(self.url)
        if not isinstance(self.url, str):
            object.__setattr__(self, "url", tuple(self.url))
        for key in ("concurrency", "max_deliveries", "max_message_bytes", "heartbeat"):
            if not is_number(value := getattr(self, key)):
                raise wrong("RabbitBackend", key, value, "give a number of at least 1")
            if value > _LARGEST.get(key, value):
                raise wrong("RabbitBackend", key, value, f"give a number of at most {_LARGEST[key]}")
        if self.heartbeat < _SHORTEST_HEARTBEAT:
            raise wrong("RabbitBackend", "heartbeat", self.heartbeat, f"give at least {_SHORTEST_HEARTBEAT} seconds")
        if not isinstance(self.embedded, bool):
            raise wrong("RabbitBackend", "embedded", self.embedded, "give True or False")
        for key in ("unknown_after", "publish_timeout"):
            positive("RabbitBackend", key, getattr(self, key))
        if self.consumer_timeout is not None:
            positive("RabbitBackend", "consumer_timeout", self.consumer_timeout)

    def open(self, application: str) -> RabbitEngine:
        """The broker as one application uses it in the running event loop; connected to when it is used first.

        Raises:
            InvalidOptions: the name is too long for a queue.
        """
        if len(application.encode()) > _LONGEST_NAME:
            raise InvalidOptions(
                f"name={application!r} is too long for a queue of RabbitMQ: give at most {_LONGEST_NAME} bytes"
            )
        terms = Terms(
            concurrency=self.concurrency,
            max_deliveries=self.max_deliveries,
            unknown_after=seconds(self.unknown_after),
            heartbeat=self.heartbeat,
            publish_timeout=seconds(self.publish_timeout),
        )
        return RabbitEngine(Dial(parsed(self.url), application, terms), application, terms)
