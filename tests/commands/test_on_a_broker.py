"""The same commands on RabbitMQ, as far as a broker can tell without consuming."""

import asyncio
import json
from uuid import uuid4

import pytest
from ellar.app import App

from bg_di.backends.rabbitmq import RabbitBackend
from bg_di.commands.main import main
from bg_di.testing.contract.handles import accepted, message, opened, received, working
from tests.backends.rabbitmq.rabbit import until_waiting
from tests.backends.rabbitmq.server import Broker, url
from tests.commands import shop

PASSWORD = "s3cr3t"


def on(address: str, name: str = "shop") -> App:
    return shop.shop(name=name, backends={"durable": RabbitBackend(address)})


def typed(app: App, *arguments: str) -> int:
    return main(arguments, prog="tasks", app=lambda: app)


async def fill(address: str, name: str) -> None:
    """Leave two tasks that wait, one of them delayed, and one that is dead."""
    async with opened(RabbitBackend(address), name) as engine:
        accepted(await engine.accept([message()]))
        async with working(engine) as consumer:
            (delivery,) = await received(consumer)
            assert await consumer.bury(delivery, attempt=1, reason="OSError: no")
        accepted(await engine.accept([message(), message(due_at=1e11)]))
        await until_waiting(engine, 2)


@pytest.fixture
def filled(broker: Broker) -> App:
    name = uuid4().hex
    asyncio.run(fill(broker.url, name))
    return on(broker.url, name)


def test_what_waits_and_what_is_dead_is_counted(filled: App, capsys: pytest.CaptureFixture[str]) -> None:
    """What runs, and how old something is, a broker cannot tell."""
    assert typed(filled, "check", "--max-backlog=2", "--max-dead=1") == 0
    _, row, verdict = capsys.readouterr().out.splitlines()
    assert row.split() == ["durable", "2", "-", "1", "-", "ready"]
    assert verdict == "ready"
    assert typed(filled, "check", "--json", "--max-backlog=1", "--max-age=60") == 1
    told = json.loads(capsys.readouterr().out)
    assert told == {
        "ready": False,
        "backends": {
            "durable": {
                "reachable": True,
                "waiting": 2,
                "running": None,
                "dead": 1,
                "oldest": None,
                "problems": [
                    "it cannot tell how long tasks have been due: leave --max-age out",
                    "2 waiting, more than 1",
                ],
            }
        },
    }


@pytest.mark.parametrize("command", [("list",), ("show", "one"), ("list", "--json")])
def test_tasks_cannot_be_looked_at(command: tuple[str, ...], filled: App, capsys: pytest.CaptureFixture[str]) -> None:
    """It is said which engine cannot, and what to ask instead."""
    assert typed(filled, *command) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("bg_di: the backend 'durable' cannot tell how its tasks stand (no capability 'listing')")
    assert "ask the engine itself" in err


def test_what_is_dead_is_put_back(filled: App, capsys: pytest.CaptureFixture[str]) -> None:
    """All that is, or one; of what is not there it is said."""
    assert typed(filled, "retry", "unheard-of") == 1
    assert "unheard-of is not put back: there is no such task" in capsys.readouterr().err
    assert typed(filled, "retry", "--all-dead") == 0
    task_id, *rest = capsys.readouterr().out.split()
    assert (len(task_id), rest) == (32, ["is", "put", "back"])
    assert typed(filled, "check", "--max-dead=0") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1] == "3"


def test_what_is_dead_is_forgotten(filled: App, capsys: pytest.CaptureFixture[str]) -> None:
    """If it has died so long ago; what waits never is."""
    assert typed(filled, "prune", "--dead", "--before=1h") == 0
    assert typed(filled, "prune", "--dead", "--before=0s") == 0
    assert typed(filled, "prune", "--before=0s") == 0
    assert capsys.readouterr().out.splitlines() == [f"{count} pruned on 'durable'" for count in (0, 1, 0)]
    assert typed(filled, "check", "--max-backlog=2", "--max-dead=0") == 0


def test_a_broker_that_is_not_there_is_not_ready(capsys: pytest.CaptureFixture[str]) -> None:
    """It is named without the password."""
    assert typed(on(url(1, "shop", PASSWORD)), "check", "--json") == 1
    out, err = capsys.readouterr()
    (problem,) = json.loads(out)["backends"]["durable"]["problems"]
    assert problem.startswith("it cannot be reached: RabbitMQ at 127.0.0.1:1 cannot be reached: ")
    assert PASSWORD not in out + err
