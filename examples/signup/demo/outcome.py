"""How a demo ends."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from examples.signup.demo.application import DidNotStart


def exit_code(demo: Coroutine[Any, Any, list[str]]) -> int:
    """Run a demo that tells what was wrong, and print that.

    Returns:
        0 if nothing was, else 1.
    """
    try:
        wrong = asyncio.run(demo)
    except DidNotStart as error:
        wrong = [str(error)]
    for problem in wrong:
        print(f"WRONG: {problem}")
    return 1 if wrong else 0
