"""A worker that is a process of its own, as a process manager runs it."""

import asyncio
import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from bg_di import collect_background_tasks
from bg_di.backends import Entry
from bg_di.backends.sqlite import SqliteBackend
from bg_di.commands.application import Application
from tests.commands import shop
from tests.commands.conftest import SECRET
from tests.commands.process import Command
from tests.servers.stage import Stage

WORKS = "a worker takes what 'durable' delivers, of 2 tasks that it knows"
SIGNALS = pytest.mark.parametrize("given", [signal.SIGTERM, signal.SIGINT])


def add(*tasks: Callable[..., Any]) -> None:
    """As the application itself does it, in another process than the worker's."""

    async def collect() -> None:
        app = shop.shop()
        async with collect_background_tasks(app) as collected:
            for task in tasks:
                collected.add_task(task, SECRET)
        await Application.of(app).engines.close()

    asyncio.run(collect())


def one(path: Path) -> Entry:
    async def entries() -> Sequence[Entry]:
        engine = SqliteBackend(path).open("shop")
        try:
            return engine.entries(limit=10)
        finally:
            await engine.close()

    [entry] = asyncio.run(entries())
    return entry


@contextmanager
def worker(stage: Stage, *options: str, works: str = WORKS, **env: str) -> Iterator[Command]:
    with Command(
        "-m", "bg_di", "worker", "tests.commands.shop:shop", *options, env={shop.STAGE: stage.name, **env}
    ) as command:
        if works:
            command.says(works)
        yield command


@SIGNALS
def test_it_runs_what_waits_until_it_is_told_to_end(given: signal.Signals, file: Path) -> None:
    """Between the application's own start-up and shutdown; it says so on stderr."""
    add(shop.greet)
    with Stage() as stage, worker(stage) as command:
        stage.wait_for("start-up", "running", "ended")
        command.tell(given)
        assert command.ends() == 0
        assert stage.heard == ["start-up", "running", "ended", "shutdown"]
    assert "INFO bg_di: the worker has ended" in command.output
    assert SECRET not in command.output
    assert one(file).state == "succeeded"


@SIGNALS
def test_what_runs_ends_within_the_grace_period(given: signal.Signals, file: Path) -> None:
    """Before the application shuts down, as it may need what that takes away."""
    add(shop.greet)
    with Stage("running") as stage, worker(stage) as command:
        stage.wait_for("running")
        command.tell(given)
        stage.release("running")
        assert command.ends() == 0
        assert stage.heard == ["start-up", "running", "ended", "shutdown"]
    assert one(file).state == "succeeded"


def test_what_runs_longer_goes_back_uncounted(file: Path) -> None:
    """As if it had not been delivered; it is named."""
    add(shop.greet)
    with Stage("running") as stage, worker(stage, **{shop.GRACE: "0"}) as command:
        stage.wait_for("running")
        command.tell(signal.SIGTERM)
        assert command.ends() == 0
        assert stage.heard == ["start-up", "running", "shutdown"]
    entry = one(file)
    assert (entry.state, entry.attempt, entry.deliveries) == ("accepted", 0, 0)
    assert f"background task greet ({entry.task_id}) of the backend 'durable' was cut off" in command.output


def test_a_thread_that_runs_longer_ends_with_its_process(file: Path) -> None:
    """Else the task might run there and elsewhere at once, for as long as it likes."""
    add(shop.greet_in_thread)
    with Stage("in a thread") as stage, worker(stage, **{shop.GRACE: "0"}) as command:
        stage.wait_for("in a thread")
        command.tell(signal.SIGTERM)
        assert command.ends() == 0
        assert stage.heard == ["start-up", "in a thread", "shutdown"]
    entry = one(file)
    assert (entry.state, entry.attempt, entry.deliveries) == ("accepted", 0, 0)
    assert "threads of tasks do not end and are ended with the process" in command.output


@SIGNALS
def test_a_second_signal_ends_it_at_once(given: signal.Signals, file: Path) -> None:
    """For what runs, that is as if it had been killed: another worker takes it."""
    add(shop.greet)
    with Stage("running") as stage, worker(stage) as command:
        stage.wait_for("running")
        command.tell(signal.SIGTERM)
        command.process.send_signal(given)
        assert command.ends() == -given
        assert "shutdown" not in stage.heard
    assert one(file).state == "running"
    with Stage() as stage, worker(stage) as command:
        stage.wait_for("running", "ended")
        command.tell(signal.SIGTERM)
        assert command.ends() == 0
    assert one(file).state == "succeeded"


def test_it_may_be_told_to_end_while_it_starts(file: Path) -> None:
    """What the start-up has opened is closed; it does not say that it works."""
    with Stage("start-up") as stage, worker(stage, works="") as command:
        stage.wait_for("start-up")
        command.tell(signal.SIGTERM)
        stage.release("start-up")
        assert command.ends() == 0
        assert stage.heard == ["start-up", "shutdown"]
    assert "a worker takes" not in command.output
    assert "INFO bg_di: the worker has ended" in command.output


@pytest.mark.parametrize(("phase", "says"), [("start-up", "could not start"), ("shutdown", "could not shut down")])
def test_what_the_application_fails_with_is_told(phase: str, says: str, file: Path) -> None:
    """With its traceback, as it is the application's own."""
    with Stage() as stage, worker(stage, works="", **{shop.FAILS: phase}) as command:
        if phase == "shutdown":
            command.says(WORKS)
            command.tell(signal.SIGTERM)
        assert command.ends() == 1
    assert f"bg_di: the application {says}: " in command.output
    assert f"ConnectionError: no stock at {phase}" in command.output


def test_an_engine_that_cannot_be_used_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In one line; what had started has ended."""
    monkeypatch.setenv(shop.FILE, str(tmp_path / "gone" / "tasks.db"))
    with Stage() as stage, worker(stage, works="") as command:
        assert command.ends() == 1
        assert stage.heard == ["start-up", "shutdown"]
    [line] = [line for line in command.output.splitlines() if line.startswith("bg_di: ")]
    assert "the application could not start: a worker of background tasks could not start: " in line
    assert "gone/tasks.db" in line
    assert "Traceback" not in command.output


def test_it_works_for_the_engines_that_it_is_told(file: Path, other: Path) -> None:
    """What waits on others is left to others."""
    add(shop.greet, shop.greet_elsewhere)
    works = "a worker takes what 'other' delivers, of 3 tasks that it knows"
    with Stage() as stage, worker(stage, "--backend", "other", "--backend=other", works=works) as command:
        stage.wait_for("elsewhere")
        command.tell(signal.SIGTERM)
        assert command.ends() == 0
        assert stage.heard == ["start-up", "elsewhere", "shutdown"]
    assert [one(file).state, one(other).state] == ["accepted", "succeeded"]


def test_it_works_for_all_engines_otherwise(file: Path, other: Path) -> None:
    """Also for those that are not embedded."""
    add(shop.greet, shop.greet_elsewhere)
    with Stage() as stage, worker(stage, works="a worker takes what 'durable', 'other' delivers") as command:
        stage.wait_for("ended", "elsewhere")
        command.tell(signal.SIGTERM)
        assert command.ends() == 0


def test_lines_go_where_the_application_says(file: Path) -> None:
    """And nowhere else."""
    with Stage() as stage, worker(stage, **{shop.LOGS: "1"}) as command:
        command.tell(signal.SIGTERM)
        assert command.ends() == 0
    assert f"as configured: {WORKS}" in command.output
    assert command.output.count(WORKS) == 1
