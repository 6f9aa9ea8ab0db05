"""Three nodes, one of which is killed under load: acceptance goes on, and nothing that was accepted is lost."""

import asyncio
from collections import Counter
from collections.abc import Iterator

import pytest
from ellar.common import get

from bg_di import BackgroundTasks, BackgroundTasksModule, background_task
from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.backends.rabbitmq.queues import Queues
from tests.backends.rabbitmq.cluster import Cluster
from tests.backends.rabbitmq.rabbit import until
from tests.harness import application as made
from tests.harness import request, running

CLIENTS = 10
# Requests that are answered well before, and after.
SOME = 200


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with Cluster() as cluster:
        yield cluster


@pytest.fixture
def anyio_backend() -> object:
    """One is enough: it takes long."""
    return "asyncio", {"use_uvloop": False}


class Load:
    """Clients that ask for one task after the other, each until it is accepted.

    Attributes:
        answered: the tasks with which that was so.
        unsure: those of them that had to be asked for again.
        ran: all that have run.
    """

    def __init__(self, urls: list[str], name: str) -> None:
        self.answered: set[int] = set()
        self.unsure: set[int] = set()
        self.ran: Counter[int] = Counter()

        @background_task(name="count", backend="durable")
        async def count(number: int) -> None:
            self.ran[number] += 1

        @get("/{number}")
        async def add(number: int, tasks: BackgroundTasks) -> None:
            tasks.add_task(count, number)

        setup = BackgroundTasksModule.setup(
            name=name, tasks=[count], backends={"durable": RabbitBackend(urls, heartbeat=3)}
        )
        self.app = made(add, tasks=setup)
        self._next = 0

    async def ask(self) -> None:
        """As one client, for ever."""
        while True:
            number, self._next = self._next, self._next + 1
            while (client := await request(self.app, f"/{number}")).status != 200:
                assert client.status == 503
                self.unsure.add(number)
            self.answered.add(number)

    async def goes_on(self) -> None:
        """Wait until so many more have been accepted, and have run."""
        enough = len(self.answered) + SOME
        await until(lambda: len(self.answered) >= enough)
        await until(lambda: sum(self.ran.values()) >= enough)


@pytest.mark.parametrize("killed", ["leader", "follower"])
async def test_a_node_is_killed_and_nothing_is_lost(killed: str, cluster: Cluster, application: str) -> None:
    """Who was told success has had its task run; of those that had been sure at once, none ran twice."""
    await asyncio.to_thread(cluster.complete)
    queue, load = Queues(application).tasks.name, Load(cluster.urls, application)
    async with running(load.app), asyncio.TaskGroup() as group:
        clients = [group.create_task(load.ask()) for _ in range(CLIENTS)]
        await load.goes_on()
        victim = await asyncio.to_thread(getattr(cluster, killed), queue)
        await asyncio.to_thread(victim.kill)
        await load.goes_on()
        for client in clients:
            client.cancel()
        await until(lambda: load.ran.keys() >= load.answered)
    assert all(load.ran[number] == 1 for number in load.answered - load.unsure)
