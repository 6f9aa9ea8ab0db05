"""The way of one process to the broker, on which things go wrong."""

import asyncio
from random import Random

from tests.backends.rabbitmq.proxy import Link, Proxy
from tests.chaos.rabbitmq.frames import Frames, Phase


class Way(Proxy):
    """A proxy that cuts in the midst of a frame, and that may be slow.

    Args:
        at: where it listens.

    Attributes:
        slowest: seconds for which bytes are held at most.
    """

    def __init__(self, to: int, *, host: str, at: str, random: Random) -> None:
        super().__init__(to, host=host, at=at)
        self._random = random
        self._frames: dict[tuple[Link, bool], Frames] = {}
        self._cuts: Phase | None = None
        self._has_cut = asyncio.Event()
        self.slowest = 0.0

    async def cut_while(self, phase: Phase, *, patience: float) -> bool:
        """Cut the next connection that is so far; return whether one was in time."""
        self._cuts = phase
        self._has_cut.clear()
        try:
            async with asyncio.timeout(patience):
                await self._has_cut.wait()
        except TimeoutError:
            return False
        finally:
            self._cuts = None
        return True

    async def passed(self, link: Link, some: bytes, *, forth: bool) -> bytes:
        if self.slowest:
            await asyncio.sleep(self._random.uniform(0.01, self.slowest))
        for begin, end, phase in self._of(link, forth).end(some):
            if phase == self._cuts:
                self._cuts = None
                self._has_cut.set()
                # When what is left of it has been written.
                asyncio.get_running_loop().call_soon(link.cut)
                return some[: self._random.randrange(begin, end)]
        return some

    def _of(self, link: Link, forth: bool) -> Frames:
        return self._frames.setdefault((link, forth), Frames(forth=forth))
