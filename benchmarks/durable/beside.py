"""Other engines on SQLite beside bg_di, on the same work in turn."""

from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

from benchmarks.durable.peers import PEERS
from benchmarks.durable.scale import Scale
from benchmarks.engines.beside import Beside, enqueued, share
from benchmarks.engines.peer import installed
from benchmarks.engines.process import Process
from benchmarks.engines.rates import worked


def compared(folder: Path, scale: Scale) -> Mapping[str, Beside]:
    """Measure all that are installed."""
    peers = installed(PEERS)
    found = {peer.name: Beside(rates={(None, 1): []}) for peer in peers}
    for number in range(scale.rounds):
        folders = {peer: folder / f"{peer.name}-{number}" for peer in peers}
        with ExitStack() as stack:
            for peer, place in folders.items():
                place.mkdir(parents=True)
                process = stack.enter_context(Process(peer, str(place), "enqueue"))
                found[peer.name].latencies.append(enqueued(process, share(peer, scale)))
        for peer, place in folders.items():
            rate = worked(peer, str(place), processes=1, tasks=share(peer, scale))
            found[peer.name].rates[None, 1].append(rate)
    return found
