"""The engines that do the same work on one broker, each at its safest settings."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from benchmarks.engines.application import noop
from benchmarks.engines.ours import enqueuing_by, working_by
from benchmarks.engines.peer import Enqueuing, Peer
from benchmarks.rabbitmq import with_celery, with_taskiq
from benchmarks.rabbitmq.place import Place, application
from bg_di import background_task


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerPeer(Peer):
    """An engine on RabbitMQ.

    Attributes:
        stranger: gives what enqueues a task that no worker knows.
        queues: the names of all queues that its tasks may be in, by the name of their place; first the one in which
            they wait.
        slots: of its workers, whose rates are measured; None: as many as it comes with.
    """

    stranger: Enqueuing
    queues: Callable[[str], Sequence[str]]
    slots: tuple[int | None, ...]


@background_task(name="stranger", backend="durable")
async def _strange(number: int) -> None:
    """No worker has it."""


def _queues(name: str) -> Sequence[str]:
    queues = Place("", name).queues
    return [each.name for each in (queues.tasks, queues.dead, *queues.delays())]


def _with_dead(name: str) -> Sequence[str]:
    return name, f"{name}.dead"


PEERS: Final = (
    BrokerPeer(
        name="bg_di",
        package="bg_di",
        home=__name__,
        enqueuing=enqueuing_by(application, noop),
        stranger=enqueuing_by(partial(application, tasks=[_strange]), _strange),
        working=working_by(application),
        queues=_queues,
        slots=(10, 100),
    ),
    BrokerPeer(
        name="taskiq",
        package="taskiq_aio_pika",
        home=__name__,
        enqueuing=with_taskiq.enqueuing,
        stranger=with_taskiq.stranger,
        working=with_taskiq.working,
        queues=_with_dead,
        slots=(10, 100),
    ),
    BrokerPeer(
        name="Celery",
        package="celery",
        home=__name__,
        enqueuing=with_celery.enqueuing,
        stranger=with_celery.stranger,
        working=with_celery.working,
        queues=_with_dead,
        slots=(None,),
        pace=5,
    ),
)
