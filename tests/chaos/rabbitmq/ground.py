"""Chaos on RabbitMQ: processes, the broker, its queues and every way between them may fail."""

import re
from collections import Counter
from collections.abc import AsyncGenerator, Coroutine, Iterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import pairwise
from typing import Any, ClassVar, Final

from tests.backends.rabbitmq.server import Broker
from tests.chaos.ground import Ground
from tests.chaos.ports import free_port
from tests.chaos.rabbitmq.causes import delivered_again, hold, run_again
from tests.chaos.rabbitmq.network import Network, network
from tests.chaos.rabbitmq.operator import KINDS, Operator
from tests.chaos.rabbitmq.site import HEARTBEAT, PASSED_ON, UNCONFIRMED, Host
from tests.chaos.rabbitmq.way import Way
from tests.chaos.rabbitmq.wires import BROKER, Wires
from tests.chaos.record import History, Line, Run
from tests.chaos.scene import Role
from tests.chaos.windows import UNACKNOWLEDGED, UNANSWERED, UNSTARTED

# What the broker tells of its queues is not to be older.
_ERLANG: Final = "-rabbit quorum_tick_interval 500"
_LIMIT: Final = re.compile(r"it was delivered \d+ times, and no worker has ended it")


class RabbitGround(Ground):
    """A broker, and a way to it for each process."""

    windows: ClassVar = (UNCONFIRMED, UNANSWERED, UNSTARTED, UNACKNOWLEDGED, PASSED_ON)
    # Until the broker has missed two heartbeats.
    rest: ClassVar = HEARTBEAT * 3 + 1

    @asynccontextmanager
    async def laid(self) -> AsyncGenerator[None]:
        net = network()
        print("each host in a network namespace of its own" if net.is_apart else "all on one loopback", flush=True)
        address = net.add(BROKER)
        self.roles = (
            _role(net, "web-worker", serves=True, embedded=True),
            _role(net, "web", serves=True),
            _role(net, "worker", embedded=True),
            _role(net, "other-worker", embedded=True),
        )
        with Broker(address=address, within=net.within(BROKER), erlang=_ERLANG) as broker:
            self.engine = ("RabbitMQ", broker.control("version").strip())
            async with _ways(self, broker, net) as ways:
                urls = {role.name: way.url for role, way in ways.items()}
                self.site = Host(self.scene.folder, urls, net.is_apart)
                self._wires = Wires(self.scene, net, ways)
                self._operator = Operator(self.scene, broker, self.roles)
                yield

    def disturbing(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield from self._wires.disturbing()
        yield self._operator.disturbing()

    def is_enough(self) -> bool:
        history, times = self.scene.reader.history(), self.scene.plan.times
        done = self._done(history)
        return len(history.lines["poison"]) >= times and all(
            done[kind] >= times for kind in (*self._wires.kinds(), *KINDS)
        )

    async def has_finished(self) -> bool:
        return await self._operator.is_empty()

    async def end(self) -> None:
        await self._operator.take_dead()

    def wrong(self, history: History) -> Iterator[str]:
        dead = {line["task_id"]: line for line in history.lines["dead"]}
        for task_id in self.scene.answers.accepted - history.ended.keys() - dead.keys():
            yield f"{task_id} was answered with success and is lost"
        for line in dead.values():
            yield from _wrong_death(line, history)
        for deleted in history.lines["deleted"]:
            if deleted["messages"]:
                yield f"the operator has deleted {deleted['queue']} with {deleted['messages']} messages in it"

    def told(self, history: History) -> dict[str, object]:
        dead = history.tasks("dead")
        return {
            "ran to the end": len(history.ended),
            "dead": {"by themselves": len(dead & history.tasks("hopeless")), "all": len(dead)},
            "disturbed": dict(self._done(history)),
            "connections of workers lost": len(history.lines["lost"]),
        }

    def cause(self, history: History, task_id: str, run: Run, after: Run) -> str | None:
        return run_again(history, task_id, run, after)

    def _done(self, history: History) -> Counter[str]:
        return Counter(line["how"] for line in history.lines["disturbed"])


def _role(net: Network, name: str, *, serves: bool = False, embedded: bool = False) -> Role:
    address = net.add(name)
    return Role(name=name, host=address, port=free_port() if serves else None, embedded=embedded)


@asynccontextmanager
async def _ways(ground: Ground, broker: Broker, net: Network) -> AsyncGenerator[Mapping[Role, Way]]:
    async with AsyncExitStack() as stack:
        yield {
            role: await stack.enter_async_context(
                Way(broker.port, host=broker.address, at=net.here, random=ground.scene.random)
            )
            for role in ground.roles
        }


def _wrong_death(dead: Line, history: History) -> Iterator[str]:
    """A task may die of its own error, or of the limit, if there is a cause for each delivery that is known."""
    task_id, reason = dead["task_id"], dead["reason"]
    if task_id in history.tasks("hopeless"):
        return
    if not _LIMIT.fullmatch(reason or ""):
        yield f"{task_id} is dead, and not by the limit of deliveries: {reason}"
    for first, second in pairwise(history.delivered[task_id]):
        if first["copy"] == second["copy"] and not delivered_again(history, hold(first), hold(second)):
            yield f"{task_id} is dead, and without any cause for what comes after {first}"
