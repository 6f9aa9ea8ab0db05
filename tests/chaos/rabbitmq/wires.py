"""What goes wrong on the way between the processes and the broker."""

import asyncio
from collections import Counter
from collections.abc import Coroutine, Iterable, Iterator, Mapping
from typing import Any, Final

from tests.chaos.rabbitmq.frames import PHASES, Phase
from tests.chaos.rabbitmq.network import Network
from tests.chaos.rabbitmq.way import Way
from tests.chaos.scene import Role, Scene

BROKER: Final = "broker"

# Longer than it takes until it is noticed, and as short as nobody notices.
_LONG: Final = 11.0
_SHORT: Final = 0.5
_SLOWEST: Final = 0.5
_PATIENCE: Final = 3.0


class Wires:
    """Disturbs them.

    Args:
        ways: of each role.
    """

    def __init__(self, scene: Scene, net: Network, ways: Mapping[Role, Way]) -> None:
        self._scene = scene
        self._random = scene.random
        self._network = net
        self._ways = ways
        self._met: Counter[Phase] = Counter()

    def kinds(self) -> Iterator[str]:
        """What is done, as the record has it."""
        yield from map(_cut, PHASES)
        yield from ("stalled", "stalled on the way back", "slow")
        if self._network.is_apart:
            yield from ("unplugged", "broker unplugged")

    def disturbing(self) -> Iterator[Coroutine[Any, Any, None]]:
        yield self._cuts()
        yield self._often("stalled", self._stall)
        yield self._often("stalled on the way back", self._stall_back)
        yield self._often("slow", self._slow)
        if self._network.is_apart:
            yield self._often("unplugged", self._unplug)
            yield self._often("broker unplugged", self._unplug_broker)

    async def _cuts(self) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0.2, 1.5))
            async with self._scene.trouble.passing():
                await self._cut(self._phase())

    def _phase(self) -> Phase:
        """One that has been met less often, more likely."""
        [phase] = self._random.choices(PHASES, [1 / (1 + self._met[phase]) for phase in PHASES])
        return phase

    async def _cut(self, phase: Phase) -> None:
        role = self._role(serves=phase == "publishing", embedded=phase in {"consuming", "acknowledging"})
        if phase == "connecting":
            self._note("cut", role)
            self._ways[role].cut()
        if await self._ways[role].cut_while(phase, patience=_PATIENCE):
            self._met[phase] += 1
            self._note(_cut(phase), role)

    async def _often(self, kind: str, disturb: Any) -> None:
        """First for so long that it is noticed."""
        seconds = _LONG
        for _ in range(self._scene.plan.times):
            await asyncio.sleep(self._random.uniform(1, 5))
            async with self._scene.trouble.passing():
                await disturb(kind, seconds)
            seconds = self._random.uniform(_SHORT, _LONG)

    async def _stall(self, kind: str, seconds: float) -> None:
        """Connections that are made meanwhile, too."""
        way = self._way(kind)
        way.swallows = True
        way.stall()
        await asyncio.sleep(seconds)
        way.swallows = False
        way.flow()

    async def _stall_back(self, kind: str, seconds: float) -> None:
        way = self._way(kind)
        way.stall(forth=False)
        await asyncio.sleep(seconds)
        way.flow()

    async def _slow(self, kind: str, seconds: float) -> None:
        way = self._way(kind)
        way.slowest = _SLOWEST
        await asyncio.sleep(seconds)
        way.slowest = 0

    async def _unplug(self, kind: str, seconds: float) -> None:
        role = self._role()
        self._note(kind, role)
        await self._pull(role.name, seconds)

    async def _unplug_broker(self, kind: str, seconds: float) -> None:
        self._note(kind, *self._ways)
        await self._pull(BROKER, seconds)

    async def _pull(self, name: str, seconds: float) -> None:
        self._network.connect(name, is_connected=False)
        try:
            await asyncio.sleep(seconds)
        finally:
            self._network.connect(name, is_connected=True)

    def _way(self, kind: str) -> Way:
        """Somebody's, to whom this is done."""
        role = self._role()
        self._note(kind, role)
        return self._ways[role]

    def _role(self, *, serves: bool = False, embedded: bool = False) -> Role:
        """Anyone's, or of those that do so."""
        fit = [role for role in self._ways if (role.port or not serves) and (role.embedded or not embedded)]
        return self._random.choice(fit)

    def _note(self, kind: str, *roles: Role) -> None:
        note(self._scene, kind, roles)


def note(scene: Scene, kind: str, roles: Iterable[Role]) -> None:
    """Write down what is done, and whose way or whose broker it is done to."""
    scene.record.write("disturbed", how=kind, roles=[role.name for role in roles])


def _cut(phase: Phase) -> str:
    return f"cut while {phase}"
