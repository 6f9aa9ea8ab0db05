"""What the driver and the ground that it drives on have in common."""

from collections import Counter
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from pathlib import Path
from random import Random

from tests.chaos.gate import Gate
from tests.chaos.record import Reader, Record


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is to be done to the application.

    Attributes:
        tasks: how many have to be accepted, at least.
        deaths: how often a process has to die in each window, at least.
        times: how often a process is stopped until it is taken for dead, and everything else is done that the ground
            has, at least.
        seed: of what is random here and there.
    """

    tasks: int
    deaths: int
    times: int
    seed: int


@dataclass(frozen=True, kw_only=True)
class Role:
    """What a process is for.

    Attributes:
        host, port: where it serves; without a port it only works.
        embedded: whether it works, too.
    """

    name: str
    host: str = "127.0.0.1"
    port: int | None = None
    embedded: bool = False


@dataclass
class Answers:
    """What the clients were told.

    Attributes:
        accepted: the ids of tasks that were answered with success.
        others: how often anything else came back, by what it was.
    """

    accepted: set[str] = field(default_factory=set)
    others: Counter[str] = field(default_factory=Counter)


class Scene:
    """Where a plan is carried out.

    Attributes:
        clients: who adds a task passes it.
        trouble: who disturbs passes it.
        processes: those that run, by what they are for.
    """

    def __init__(self, folder: Path, plan: Plan) -> None:
        self.folder = folder
        self.plan = plan
        self.random = Random(plan.seed)
        self.record = Record(folder / "record")
        self.reader = Reader(folder / "record")
        self.answers = Answers()
        self.clients = Gate()
        self.trouble = Gate()
        self.processes: dict[Role, BaseProcess] = {}
