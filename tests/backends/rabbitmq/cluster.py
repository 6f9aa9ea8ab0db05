"""A real cluster of three nodes on one machine."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from types import TracebackType
from typing import Self

from tests.backends.rabbitmq.rabbit import lists
from tests.backends.rabbitmq.server import Broker


class Cluster:
    """Nodes that run as long as the block.

    Attributes:
        nodes: the first of them is the one that the others have joined.
    """

    def __init__(self) -> None:
        first = Broker()
        self.nodes: Sequence[Broker] = (first, Broker(joins=first), Broker(joins=first))
        self._stack = ExitStack()

    @property
    def urls(self) -> list[str]:
        return [node.url for node in self.nodes]

    def __enter__(self) -> Self:
        first, *others = self.nodes
        with self._stack, ThreadPoolExecutor(len(others)) as threads:
            self._stack.enter_context(first)
            starting = [threads.submit(self._stack.enter_context, node) for node in others]
            for each in starting:
                each.result()
            self._stack = self._stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._stack.close()

    def complete(self) -> None:
        """Start those that have been killed."""
        for node in self.nodes:
            if not node.is_running:
                node.start()

    def leader(self, queue: str) -> Broker:
        """The node that leads a queue."""
        shown = next(node for node in self.nodes if node.is_running)
        (name,) = (each["leader"] for each in lists(shown, "name", "leader") if each["name"] == queue)
        return next(node for node in self.nodes if node.name == name)

    def follower(self, queue: str) -> Broker:
        """One that only follows."""
        leader = self.leader(queue)
        return next(node for node in self.nodes if node.is_running and node is not leader)
