"""``python -m tests.chaos``: the whole of it; ``--help`` says what can be changed."""

import argparse
import asyncio
import random
import sys
import tempfile
from pathlib import Path

from tests.chaos.driver import Chaos, Plan
from tests.chaos.verdict import judge


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--deaths", type=int, default=50, help="in each window")
    parser.add_argument("--stops", type=int, default=10, help="of a process for longer than its lease")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    plan = Plan(**vars(parser.parse_args()))
    print(plan, flush=True)
    with tempfile.TemporaryDirectory() as folder:
        chaos = Chaos(Path(folder), plan)
        asyncio.run(chaos.run())
        verdict = judge(Path(folder), plan, chaos.answers)
    for what, told in verdict.told.items():
        print(f"{what}: {told}")
    for wrong in verdict.wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
    return bool(verdict.wrong)


if __name__ == "__main__":
    sys.exit(main())
