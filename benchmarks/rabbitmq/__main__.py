"""``python -m benchmarks.rabbitmq``: measure durable tasks on a broker, write RABBITMQ.md, and fail over a limit.

``--quick`` only shows that everything can be measured: the numbers mean nothing, and nothing is written or judged.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

from benchmarks.__main__ import failed
from benchmarks.engines.limits import judged
from benchmarks.rabbitmq import report
from benchmarks.rabbitmq.beside import compared
from benchmarks.rabbitmq.enqueuing import enqueued
from benchmarks.rabbitmq.fates import fates
from benchmarks.rabbitmq.kills import survivals
from benchmarks.rabbitmq.requests import requested
from benchmarks.rabbitmq.scale import FULL, QUICK, Scale
from tests.backends.rabbitmq.server import Broker

AGAINST = "the bare confirmed publish"


def measure(scale: Scale) -> report.Results:
    """Measure everything, on the disk that the current folder is on: that of temporary files may be memory."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as name:
        folder = Path(name)
        with Broker(place=folder) as broker:
            return report.Results(
                scale=scale,
                broker=broker.control("version").strip(),
                enqueuing=asyncio.run(enqueued(broker.url, scale)),
                requests=asyncio.run(requested(broker.url, scale)),
                beside=compared(broker.url, scale),
                survivals=survivals(broker.url, folder, scale),
                fates=asyncio.run(fates(broker.url)),
            )


def main() -> bool:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.rabbitmq", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure next to nothing, and write nothing")
    parser.add_argument("--rounds", type=int, default=FULL.rounds, help="repetitions of everything")
    logging.getLogger("ellar").disabled = True
    options = parser.parse_args()
    quick = options.quick
    results = measure(QUICK if quick else replace(FULL, rounds=options.rounds))
    document = report.document(results)
    print(document)
    if quick:
        return False
    report.RESULTS.write_text(document + "\n")
    idle = results.enqueuing.idle
    return failed(judged(idle.ours, idle.bare, AGAINST))


if __name__ == "__main__":
    sys.exit(main())
