"""What a process of the application has of the broker, and the windows that it passes there."""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import aiormq
from aiormq import spec
from aiormq.abc import ChannelFrame, DeliveredMessage
from pamqp.header import ContentHeader

from bg_di.backends.rabbitmq import RabbitBackend
from tests.chaos.ground import Site
from tests.chaos.rabbitmq import network
from tests.chaos.record import Record
from tests.chaos.scene import Role
from tests.chaos.windows import Death, Window

# A task that happens to be beside a poisonous one, or is cut off again and again, does not die of it soon.
MAX_DELIVERIES: Final = 10
HEARTBEAT: Final = 3

UNCONFIRMED: Final = Window("published but unconfirmed", "answers")
# Only what fails and runs again is passed on.
PASSED_ON: Final = Window("passed on but unacknowledged", "work", rarity=3)


@dataclass(frozen=True)
class Host(Site):
    """A host on the network.

    Attributes:
        urls: of the broker, by the names of roles.
        is_apart: whether each role has a namespace of its own, under its name.
    """

    folder: Path
    urls: Mapping[str, str]
    is_apart: bool

    def enter(self, role: Role) -> None:
        if self.is_apart:
            network.enter(role.name)

    def backend(self, role: Role) -> RabbitBackend:
        return RabbitBackend(
            self.urls[role.name],
            embedded=role.embedded,
            heartbeat=HEARTBEAT,
            publish_timeout=1.5,
            max_deliveries=MAX_DELIVERIES,
        )

    def watch(self, death: Death, record: Record) -> None:
        """Look at what the client writes and gets, and at what is logged of its connections."""
        logging.getLogger("bg_di").addHandler(_Losses(record))
        patched: Any = aiormq.Channel
        publish, consume, marshall = patched.basic_publish, patched.basic_consume, ChannelFrame.marshall

        def marshalling(*args: Any, **kwargs: Any) -> ChannelFrame:
            frame = marshall(*args, **kwargs)
            first, *more = kwargs["frames"]
            if isinstance(first, spec.Basic.Publish) and frame.drain_future and not _is_successor(_headers(more[0])):
                frame.drain_future.add_done_callback(lambda _: death.passes(UNCONFIRMED))
            return frame

        async def publishing(channel: Any, *args: Any, **kwargs: Any) -> Any:
            confirmed = await publish(channel, *args, **kwargs)
            if _is_successor(kwargs["properties"].headers):
                death.passes(PASSED_ON)
            return confirmed

        async def consuming(channel: Any, queue: str, consumer_callback: Any, **kwargs: Any) -> Any:
            async def delivered(message: DeliveredMessage) -> None:
                headers = _headers(message.header)
                record.write("delivered", **{key: headers[key] for key in ("task_id", "copy", "attempt")})
                await consumer_callback(message)

            return await consume(channel, queue, delivered, **kwargs)

        patched.basic_publish, patched.basic_consume = publishing, consuming
        seen: Any = ChannelFrame
        seen.marshall = marshalling


class _Losses(logging.Handler):
    """Writes down when the connection of the worker is lost."""

    def __init__(self, record: Record) -> None:
        super().__init__()
        self._record = record

    def emit(self, record: logging.LogRecord) -> None:
        if "is lost" in record.getMessage():
            self._record.write("lost")


def _headers(header: ContentHeader) -> Any:
    return header.properties.headers


def _is_successor(headers: Any) -> bool:
    """Whether it takes the place of another message of its task."""
    return bool(headers["copy"] != headers["task_id"])
