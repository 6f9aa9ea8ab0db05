"""Where the tasks of `tests.servers.durable` are, for tests that hold wherever that is."""

import json
from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any
from uuid import uuid4

from bg_di.backends import Counts
from bg_di.backends.rabbitmq import RabbitBackend
from tests.servers.files import SETTINGS, opened, settings, states


class Place(ABC):
    """An engine that nobody else uses."""

    @abstractmethod
    def settings(self, **options: Any) -> dict[str, str]:
        """The environment of an application there; options as `tests.servers.files.settings` has them."""

    @abstractmethod
    def counts(self, application: str = "shop") -> Counts:
        """How much there is to do."""

    @abstractmethod
    def has_only_succeeded(self, count: int, application: str = "shop") -> bool:
        """Whether so many tasks have, and no others are there; asked when nobody works any more."""


class OnFile(Place):
    def __init__(self, path: Path) -> None:
        self._path = path

    def settings(self, **options: Any) -> dict[str, str]:
        # Patient enough for several processes.
        return settings(self._path, **{**options, "backend": {"busy_timeout": 2, **options.get("backend", {})}})

    def counts(self, application: str = "shop") -> Counts:
        with opened(self._path, application) as engine:
            return engine.counts()

    def has_only_succeeded(self, count: int, application: str = "shop") -> bool:
        return list(states(self._path, application).values()) == ["succeeded"] * count


class OnBroker(Place):
    """What has succeeded is not there any more, and what was in somebody's hands is there again.

    Args:
        url: of the broker, which others may use at the same time.

    Attributes:
        suffix: of the names of the applications.
    """

    def __init__(self, url: str) -> None:
        self.url = url
        self.suffix = f"-{uuid4().hex}"

    def settings(self, **options: Any) -> dict[str, str]:
        return {SETTINGS: json.dumps({"url": self.url, "suffix": self.suffix, **options})}

    def counts(self, application: str = "shop") -> Counts:
        return RabbitBackend(self.url).open(application + self.suffix).counts()

    def has_only_succeeded(self, count: int, application: str = "shop") -> bool:
        counts = self.counts(application)
        return (counts.waiting, counts.dead) == (0, 0)
