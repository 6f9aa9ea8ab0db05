"""What becomes of tasks on a file when the worker that has them in hand is killed."""

from pathlib import Path

from benchmarks.durable.peers import PEERS
from benchmarks.durable.scale import Scale
from benchmarks.engines.kills import Survival, survived
from benchmarks.engines.peer import installed


def survivals(folder: Path, scale: Scale) -> list[Survival]:
    """Kill a worker of each engine that is installed; huey once, as it keeps what it keeps in either form."""
    found = []
    for peer in installed(PEERS):
        if peer.name != "huey with fsync":
            place = folder / peer.name
            place.mkdir()
            found.append(survived(peer, str(place), place / "record", scale))
    return found
