"""What a backend need not do, it says of itself; nobody else is to ask for it."""

from collections.abc import Callable
from typing import Any

import pytest

from bg_di.backends import Engine, InProcessBackend, Message

MESSAGE = Message(task_id="a", name="mail", body=b"", added_at=0, due_at=0)


class Modest(Engine):
    """Does what each has to do, and no more."""

    accept: Any = None
    consume: Any = None
    close: Any = None
    abandon: Any = None


@pytest.mark.parametrize(
    "ask",
    [
        lambda engine: engine.cancel("a"),
        lambda engine: engine.show("a"),
        lambda engine: engine.entries(limit=1),
        lambda engine: engine.counts(),
        lambda engine: engine.retry(["a"]),
        lambda engine: engine.prune(before=0),
        lambda engine: engine.write(None, MESSAGE, print),
        lambda engine: engine.refuse_behind(None),
    ],
)
def test_what_is_not_claimed_is_not_there(ask: Callable[[Engine], object]) -> None:
    """It is checked before, so that nothing else has to be said."""
    with pytest.raises(NotImplementedError):
        ask(Modest())


def test_what_runs_in_the_process_is_not_opened() -> None:
    """Its tasks stay in the collection."""
    with pytest.raises(NotImplementedError, match="stay in the collection"):
        InProcessBackend().open("shop")
