"""What becomes of tasks on a broker when the worker that has them in hand is killed."""

from pathlib import Path

from benchmarks.engines.kills import Survival, survived
from benchmarks.engines.peer import installed
from benchmarks.rabbitmq.peers import PEERS
from benchmarks.rabbitmq.place import Place
from benchmarks.rabbitmq.scale import Scale


def survivals(url: str, folder: Path, scale: Scale) -> list[Survival]:
    """Kill a worker of each engine that is installed."""
    return [
        survived(peer, str(Place(url, f"kills-{peer.name}")), folder / peer.name, scale) for peer in installed(PEERS)
    ]
