"""``python -m benchmarks.durable``: measure durable tasks, write DURABLE.md, and fail over a limit.

``--quick`` only shows that everything can be measured: the numbers mean nothing, and nothing is written or judged.
"""

import argparse
import asyncio
import logging
import sys
import tempfile
from pathlib import Path

from benchmarks.__main__ import failed
from benchmarks.durable import report
from benchmarks.durable.beside import compared
from benchmarks.durable.enqueuing import enqueued
from benchmarks.durable.kills import survivals
from benchmarks.durable.looping import gaps
from benchmarks.durable.rates import rates
from benchmarks.durable.scale import FULL, QUICK, Scale
from benchmarks.engines.limits import judged

AGAINST = "the same commit through a bare thread"


def measure(scale: Scale) -> report.Results:
    """Measure everything, on the disk that the current folder is on: that of temporary files may be memory."""
    with tempfile.TemporaryDirectory(prefix=".bench-", dir=Path.cwd()) as name:
        return report.Results(
            scale=scale,
            enqueuing=asyncio.run(enqueued(_folder(name, "enqueuing"), scale)),
            gaps=asyncio.run(gaps(_folder(name, "gaps"), scale)),
            rates=rates(_folder(name, "rates"), scale),
            beside=compared(_folder(name, "beside"), scale),
            survivals=survivals(_folder(name, "kills"), scale),
        )


def main() -> bool:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.durable", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure next to nothing, and write nothing")
    logging.getLogger("ellar").disabled = True
    quick = parser.parse_args().quick
    results = measure(QUICK if quick else FULL)
    document = report.document(results)
    print(document)
    if quick:
        return False
    report.RESULTS.write_text(document + "\n")
    idle = results.enqueuing.idle
    return failed(judged(idle.ours, idle.thread, AGAINST))


def _folder(parent: str, name: str) -> Path:
    folder = Path(parent, name)
    folder.mkdir()
    return folder


if __name__ == "__main__":
    sys.exit(main())
