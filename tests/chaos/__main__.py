"""``python -m tests.chaos sqlite|rabbitmq``: the whole of it; ``--help`` says what can be changed."""

import argparse
import asyncio
import random
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path

from benchmarks.machine import measured_on
from benchmarks.records import RunRecord, write
from tests.chaos.driver import Chaos
from tests.chaos.ground import Ground
from tests.chaos.rabbitmq.ground import RabbitGround
from tests.chaos.scene import Plan, Scene
from tests.chaos.sqlite import SqliteGround
from tests.chaos.verdict import Verdict, judge

GROUNDS: dict[str, type[Ground]] = {"sqlite": SqliteGround, "rabbitmq": RabbitGround}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("ground", choices=GROUNDS)
    parser.add_argument("--tasks", type=int, default=10_000)
    parser.add_argument("--deaths", type=int, default=50, help="in each window")
    parser.add_argument("--times", type=int, default=10, help="of everything else that goes wrong")
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--folder", type=Path, help="which keeps the record and the logs")
    parser.add_argument("--write", action="store_true", help="what was counted, to where the evidence is made from")
    options = vars(parser.parse_args())
    writes = options.pop("write")
    name, folder = options.pop("ground"), options.pop("folder")
    kind = GROUNDS[name]
    plan = Plan(**options)
    print(kind.__name__, plan, flush=True)
    with tempfile.TemporaryDirectory() as temporary:
        scene = Scene(folder or Path(temporary), plan)
        ground = kind(scene)
        asyncio.run(Chaos(scene, ground).run())
        verdict = judge(scene, ground)
    if writes:
        _write(name, plan, ground, verdict)
    for what, told in verdict.told.items():
        print(f"{what}: {told}")
    for wrong in verdict.wrong:
        print(f"WRONG: {wrong}", file=sys.stderr)
    return bool(verdict.wrong)


def _write(name: str, plan: Plan, ground: Ground, verdict: Verdict) -> None:
    command = f"python -m tests.chaos {name} --write"
    where = measured_on(ground.engine, packages=["bg_di", "ellar", "uvicorn"])
    found = {"plan": asdict(plan), "told": verdict.told, "wrong": verdict.wrong}
    write(f"chaos-{name}", RunRecord(command=command, where=where, found=found))


if __name__ == "__main__":
    sys.exit(main())
