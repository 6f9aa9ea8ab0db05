"""Give a worker what atheris makes of real messages: ``python -m tests.backends.fuzzing -runs=10000`` ends with 0."""

import asyncio
import logging
import sys

import atheris  # type: ignore[import-not-found,import-untyped,unused-ignore]

with atheris.instrument_imports(  # pyright: ignore[reportAttributeAccessIssue]
    include=["bg_di.wire", "bg_di.backends"]
):
    from tests.backends.test_worker_malformed import ENVELOPE, put, ran, shop
    from tests.harness import Lifespan

_loop = asyncio.new_event_loop()
_shop = shop()
_lifespan = Lifespan()


async def _start() -> "asyncio.Task[None]":
    serving = asyncio.create_task(_lifespan.serve(_shop.app, {}))
    await _lifespan.tell("startup")
    return serving


async def _one(data: bytes) -> None:
    _shop.memory.kept.clear()
    _shop.memory.told.clear()
    ran.clear()
    fuzzed, good = put(_shop, data), put(_shop, None, "good")
    await _shop.memory.until_told(2)
    assert good.state == "succeeded"
    assert (fuzzed.state, bool(fuzzed.reason), len(ran)) in {("dead", True, 1), ("succeeded", False, 2)}


def one_input(data: bytes) -> None:
    """One message, and one behind it that runs."""
    _loop.run_until_complete(_one(data))


def custom_mutator(data: bytes, max_size: int, seed: int) -> bytes:
    """Begin with a real message."""
    mutated: bytes = atheris.Mutate(data if len(data) > 1 else ENVELOPE.to_bytes(), max_size)
    return mutated


if __name__ == "__main__":
    logging.getLogger("bg_di").setLevel(logging.CRITICAL)
    _serving = _loop.run_until_complete(_start())
    atheris.Setup([*sys.argv, "-max_len=4000"], one_input, custom_mutator=custom_mutator)
    atheris.Fuzz()
