"""Other engines on one broker beside bg_di, on the same work in turn."""

from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.engines.beside import Beside, enqueued, share
from benchmarks.engines.peer import installed
from benchmarks.engines.process import Process
from benchmarks.engines.rates import PROCESSES, worked
from benchmarks.rabbitmq.peers import PEERS
from benchmarks.rabbitmq.place import Place
from benchmarks.rabbitmq.scale import Scale


def compared(url: str, scale: Scale) -> Mapping[str, Beside]:
    """Measure all that are installed. What an engine enqueues is run to its end before it enqueues anew."""
    peers = installed(PEERS)
    found = {
        peer.name: Beside(rates={(slots, processes): [] for slots in peer.slots for processes in PROCESSES})
        for peer in peers
    }
    with ExitStack() as stack:
        places = {peer: str(Place(url, f"beside-{peer.name}")) for peer in peers}
        enqueuing = {peer: stack.enter_context(Process(peer, place, "enqueue")) for peer, place in places.items()}
        for process in enqueuing.values():
            enqueued(process, 0)
        for _ in range(scale.rounds):
            for peer in peers:
                latencies = []
                tasks = share(peer, scale)
                for (slots, processes), rates in found[peer.name].rates.items():
                    latencies += enqueued(enqueuing[peer], tasks)
                    rates.append(worked(peer, places[peer], processes=processes, tasks=tasks, slots=slots))
                found[peer.name].latencies.append(latencies)
    return found
