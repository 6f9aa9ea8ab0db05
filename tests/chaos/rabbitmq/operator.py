"""What happens to the broker itself: it is killed, it is short of memory, its queues are deleted or poisoned."""

import asyncio
import json
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

import httpx
from aio_pika.exceptions import QueueEmpty

from bg_di.backends.rabbitmq.queues import Queue, Queues
from tests.backends.rabbitmq.rabbit import SETTLED, raw
from tests.backends.rabbitmq.server import Broker
from tests.chaos.application import NAME, POISON
from tests.chaos.rabbitmq.wires import note
from tests.chaos.scene import Role, Scene

KINDS: Final = ("broker killed", "memory alarm", "queue deleted", "dead-letter queue deleted")
_QUEUES: Final = Queues(NAME)

_ALARM: Final = 3.0
# In hand while the queue is deleted.
_IN_HAND: Final = 8
# Seconds until all that was accepted has been run.
_PATIENCE: Final = 180.0


class Operator:
    """Does these one after another, and deletes with care: what is in a queue, no engine can save."""

    def __init__(self, scene: Scene, broker: Broker, roles: Sequence[Role]) -> None:
        self._scene = scene
        self._broker = broker
        self._roles = roles

    async def disturbing(self) -> None:
        work = [self._kill, self._alarm, self._delete, self._delete_dead, self._poison] * self._scene.plan.times
        self._scene.random.shuffle(work)
        for each in work:
            await asyncio.sleep(SETTLED)
            await each()

    async def is_empty(self) -> bool:
        """Whether no task waits and none is in hand."""
        for _ in range(3):  # what it tells is half a second old, or more where it has much to do
            await asyncio.sleep(1)
            told = await asyncio.to_thread(self._broker.control, "list_queues", "--formatter=json", "name", "messages")
            if any(queue["messages"] for queue in json.loads(told) if queue["name"] != _QUEUES.dead.name):
                return False
        return True

    async def take_dead(self) -> None:
        """Write down what is in the dead-letter queue."""
        async with raw(self._broker.url) as channel:
            queue = await channel.get_queue(_QUEUES.dead.name, ensure=False)
            while True:
                try:
                    message = await queue.get()
                except QueueEmpty:
                    return
                told = {key: message.headers.get(key) for key in ("task_id", "copy", "reason")}
                self._scene.record.write("dead", **told)
                await message.ack()

    async def _kill(self) -> None:
        async with self._scene.trouble.passing():
            self._note("broker killed")
            await asyncio.to_thread(self._broker.kill)
            await asyncio.sleep(self._scene.random.uniform(0, 2))
            await asyncio.to_thread(self._broker.start)

    async def _alarm(self) -> None:
        async with self._scene.trouble.passing():
            self._note("memory alarm")
            await self._limit("0")
            await asyncio.sleep(_ALARM)
            await self._limit("0.4")

    async def _limit(self, watermark: str) -> None:
        await asyncio.to_thread(self._broker.control, "set_vm_memory_high_watermark", watermark)

    async def _poison(self) -> None:
        """There is some among other tasks, but in a short run it may not come to that."""
        async with self._scene.trouble.passing():
            await self._add([f"/{POISON}"])

    async def _delete(self) -> None:
        """Half of what is in hand fails meanwhile, and is to run once more."""
        await self._delete_while(_QUEUES.tasks, ["/1?seconds=1", "/10?seconds=1"])

    async def _delete_dead(self) -> None:
        """What is in hand is to go there."""
        await self._delete_while(_QUEUES.dead, ["/1?seconds=1&hopeless=true"])

    async def _delete_while(self, queue: Queue, paths: list[str]) -> None:
        async with self._peace():
            async with self._scene.clients.closed():
                await self._until(self.is_empty)
                await self.take_dead()
                tasks = await self._add(paths * (_IN_HAND // len(paths)))
                await self._until(lambda: self._have("started", tasks))
                self._note("queue deleted" if queue is _QUEUES.tasks else "dead-letter queue deleted")
                async with raw(self._broker.url) as channel:
                    gone = await channel.queue_delete(queue.name)
                self._scene.record.write("deleted", queue=queue.name, messages=gone.message_count)
            await self._until(lambda: self._have("ended", tasks))
            await self._until(lambda: self._is_there(queue))

    @asynccontextmanager
    async def _peace(self) -> AsyncGenerator[None]:
        """Nothing else goes wrong, and nobody dies."""
        peace = self._scene.folder / "peace"
        async with self._scene.trouble.closed():
            peace.touch()
            yield
            peace.unlink()

    async def _add(self, paths: Sequence[str]) -> set[str]:
        """Tasks that are surely accepted."""
        added: set[str] = set()
        servers = [role for role in self._roles if role.port]
        async with httpx.AsyncClient() as client:
            while len(added) < len(paths):
                role, path = servers[len(added) % len(servers)], paths[len(added)]
                try:
                    answer = await client.post(f"http://{role.host}:{role.port}{path}")
                except httpx.TransportError:
                    await asyncio.sleep(0.1)  # it is being started
                else:
                    added |= {answer.json()} if answer.status_code == 200 else set()
        self._scene.answers.accepted |= added
        return added

    async def _have(self, what: str, tasks: set[str]) -> bool:
        history = self._scene.reader.history()
        done = set(history.started) if what == "started" else set(history.ended) | history.tasks("hopeless")
        return tasks <= done

    async def _is_there(self, queue: Queue) -> bool:
        told = await asyncio.to_thread(self._broker.control, "list_queues", "--formatter=json", "name")
        return queue.name in {each["name"] for each in json.loads(told)}

    async def _until(self, is_so: Any) -> None:
        async with asyncio.timeout(_PATIENCE):
            while not await is_so():
                await asyncio.sleep(0.02)

    def _note(self, kind: str) -> None:
        note(self._scene, kind, self._roles)
