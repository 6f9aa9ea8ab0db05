"""A clock that jumps to its next timer when nothing else is to do: real timeouts and real waits, in no time."""

import asyncio
import selectors
from typing import Any

import pytest
import trio.testing


class JumpingSelector(selectors.DefaultSelector):
    """Does not wait for a timer, but moves the clock to it."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0 if timeout is not None else None)
        if not ready and timeout is not None and timeout > 0:
            self.ahead += timeout
        return ready


class JumpingLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop, on a clock that jumps."""

    def __init__(self) -> None:
        self._selector_of_ours = JumpingSelector()
        super().__init__(self._selector_of_ours)

    def time(self) -> float:
        return super().time() + self._selector_of_ours.ahead


JUMPING = [
    pytest.param(("asyncio", {"loop_factory": JumpingLoop}), id="asyncio"),
    pytest.param(("trio", {"clock": trio.testing.MockClock(autojump_threshold=0)}), id="trio"),
]
