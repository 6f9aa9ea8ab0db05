"""How tasks stand, and what becomes of those that have ended, without the application being started."""

import json
import os
import subprocess
import time
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest
from ellar.app import App

from bg_di.backends import Capability, Counts
from bg_di.backends.sqlite import SqliteBackend
from bg_di.commands.main import main
from bg_di.testing.memory import Kept
from tests.backends.memory import Memory, MemoryBackend, MemoryEngine, SimpleBackend
from tests.commands import shop
from tests.commands.conftest import SECRET, keep, message
from tests.commands.process import PYTHON, ROOT, run

SHOP = "tests.commands.shop:shop"


class CountingEngine(MemoryEngine):
    def counts(self) -> Counts:
        return Counts(waiting=5, running=None, dead=0, oldest=None)


class Counting(MemoryBackend):
    """As a broker: it shows no tasks, only how many there are, and gives the dead ones back."""

    capabilities: ClassVar[frozenset[Capability]] = frozenset({"counts", "dead"})

    def open(self, application: str) -> CountingEngine:
        return CountingEngine(self, application)


class Typed:
    """What is typed, without `MODULE:APP`, and what is printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.app: App | None = None
        self.out = self.err = ""

    def __call__(self, *typed: str) -> int:
        code = main(typed, prog="tasks", app=lambda: self.app or shop.shop())
        self.out, self.err = self._capsys.readouterr()
        assert SECRET not in self.out + self.err
        return code

    def json(self, *typed: str) -> object:
        assert self(*typed, "--json") in {0, 1}
        return json.loads(self.out)

    def states(self) -> dict[str, str]:
        assert self("list", "--json") == 0
        return {each["task_id"]: each["state"] for each in json.loads(self.out)}


@pytest.fixture
def typed(capsys: pytest.CaptureFixture[str]) -> Typed:
    return Typed(capsys)


@pytest.fixture
def simple() -> App:
    """An application whose engine can do nothing beyond what every engine must."""
    return shop.shop(backends={"simple": SimpleBackend()}, default_backend="simple")


@pytest.fixture
def mixed(file: Path) -> App:
    """One that has another engine, too."""
    backends = {"durable": SqliteBackend(file), "simple": SimpleBackend()}
    return shop.shop(backends=backends)


def test_tasks_are_listed_the_last_one_first(file: Path, other: Path, typed: Typed) -> None:
    """Of all engines, or of one; in one state, or so many."""
    keep(file, [message("dead", at=1000)], becoming="dead")
    keep(other, [message("elsewhere", at=2000)])
    keep(file, [message("waits", at=3000)])
    assert typed("list") == 0
    lines = [line.split() for line in typed.out.splitlines()]
    assert lines[0] == ["TASK", "ID", "BACKEND", "STATE", "SINCE", "NAME", "ATTEMPT", "DELIVERIES", "REASON"]
    assert [line[:3] for line in lines[1:]] == [
        ["waits", "durable", "accepted"],
        ["elsewhere", "other", "accepted"],
        ["dead", "durable", "dead"],
    ]
    assert lines[3][4:] == ["greet", "3", "1", "OSError:", "no", "[1m", "more"]
    assert typed.err == ""
    assert typed("list", "--limit=1") == 0
    assert [line.split()[0] for line in typed.out.splitlines()] == ["TASK", "waits"]
    assert typed("list", "--backend", "other", "--state", "accepted") == 0
    assert [line.split()[0] for line in typed.out.splitlines()] == ["TASK", "elsewhere"]


def test_where_nothing_is_listed_it_is_said(file: Path, typed: Typed) -> None:
    """But not to scripts."""
    assert typed("list") == 0
    assert (typed.out, typed.err) == ("", "bg_di: there are no such tasks\n")
    assert typed.json("list") == []
    assert typed.err == ""


def test_scripts_get_all_that_is_known(file: Path, typed: Typed) -> None:
    """Times are in UTC, in a form that sorts."""
    keep(file, [message("one", at=86400.25, key="k")])
    assert typed.json("list") == [typed.json("show", "one")]
    shown = typed.json("show", "one")
    assert shown == {
        "backend": "durable",
        "task_id": "one",
        "name": "greet",
        "version": 1,
        "state": "accepted",
        "since": "1970-01-02T00:00:00.250Z",
        "added_at": "1970-01-02T00:00:00.250Z",
        "due_at": "1970-01-02T00:00:00.250Z",
        "attempt": 0,
        "deliveries": 0,
        "owner": None,
        "lease_until": None,
        "unique_key": "k",
        "unique_until": "5138-11-16T09:46:40.000Z",
        "reason": None,
    }


def test_a_key_may_be_held_for_longer_than_a_date_can_say(file: Path, typed: Typed) -> None:
    """Then it is the last one."""
    keep(file, [replace(message("one", key="k"), unique_until=1e300)])
    assert typed("list") == typed("show", "one") == 0
    assert "unique until: 9999-12-31T23:59:59.000Z" in typed.out


def test_one_task_is_shown(file: Path, other: Path, typed: Typed) -> None:
    """On whichever engine it is."""
    keep(other, [message("one")], becoming="dead")
    assert typed("show", "one") == 0
    shown = dict(line.split(maxsplit=1) for line in typed.out.splitlines() if ": " in line)
    assert shown["state:"] == "dead"
    assert shown["backend:"] == "other"
    assert shown["reason:"] == "OSError: no [1m more"
    assert "owner" not in typed.out


def test_the_task_that_stands_for_another_is_shown(file: Path, typed: Typed) -> None:
    """With a word that it does."""
    keep(file, [message("first", key="k")])
    keep(file, [message("second", key="k")])
    assert typed("show", "second") == 0
    assert "task id:      first" in typed.out
    assert "'second' was not accepted as a task of its own" in typed.err


def test_a_task_that_is_nowhere_is_said_to_be(file: Path, typed: Typed) -> None:
    """A script sees it by the exit code."""
    assert typed("show", "nobody") == 1
    assert (typed.out, typed.err) == ("", "bg_di: there is no task 'nobody', or it has been pruned\n")


def test_dead_tasks_are_put_back(file: Path, other: Path, typed: Typed) -> None:
    """By their ids, on whichever engine they are."""
    keep(file, [message("one")], becoming="dead")
    keep(other, [message("two"), message("three")], becoming="dead")
    assert typed("retry", "one", "two") == 0
    assert typed.out == "one is put back\ntwo is put back\n"
    assert typed.states() == {"one": "accepted", "two": "accepted", "three": "dead"}


def test_all_dead_tasks_are_put_back(file: Path, other: Path, typed: Typed) -> None:
    """Of all engines, or of one."""
    keep(file, [message("one")], becoming="dead")
    keep(other, [message("two"), message("three")], becoming="dead")
    assert typed("retry", "--all-dead", "--backend", "durable") == 0
    assert typed.states() == {"one": "accepted", "two": "dead", "three": "dead"}
    assert typed("retry", "--all-dead") == 0
    assert set(typed.states().values()) == {"accepted"}
    assert typed("retry", "--all-dead") == 0
    assert typed.err == "bg_di: there are no dead tasks\n"


def test_what_is_not_put_back_is_said_with_the_reason(file: Path, typed: Typed) -> None:
    """The others are."""
    keep(file, [message("done")], becoming="succeeded")
    keep(file, [message("taken", key="k")], becoming="dead")
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("takes", key="k")])
    assert typed("retry", "done", "taken", "nobody", "dead") == 1
    assert typed.out == "dead is put back\n"
    assert typed.err.splitlines() == [
        "bg_di: done is not put back: it is succeeded, not dead",
        "bg_di: taken is not put back: another task has been accepted for its unique key",
        "bg_di: nobody is not put back: there is no such task, or it has been pruned",
    ]
    assert typed("retry", "--all-dead") == 1


@pytest.mark.parametrize("arguments", [(), ("one", "--all-dead")])
def test_what_is_to_be_put_back_has_to_be_said(arguments: tuple[str, ...], file: Path, typed: Typed) -> None:
    """In one way."""
    assert typed("retry", *arguments) == 2
    assert typed.err == "bg_di: give the ids of dead tasks, or --all-dead\n"


def test_what_has_ended_long_ago_is_pruned(file: Path, typed: Typed) -> None:
    """What is dead only if that is said, and then nothing else."""
    keep(file, [message("done")], becoming="succeeded")
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("waits")])
    for age in ("1h", "0.5d", "1w", "10m"):
        assert typed("prune", "--before", age) == 0
        assert typed.out == "0 pruned on 'durable'\n"
    assert typed("prune", "--before", "0s") == 0
    assert typed.out == "1 pruned on 'durable'\n"
    assert typed.states() == {"dead": "dead", "waits": "accepted"}
    assert typed("prune", "--before=0s", "--dead") == 0
    assert typed.states() == {"waits": "accepted"}


def test_an_engine_is_ready_within_the_limits(file: Path, typed: Typed) -> None:
    """Without any, whatever waits."""
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("one", at=time.time() - 100), message("two", at=time.time() + 100)])
    for limits in ((), ("--max-backlog=2", "--max-age=1000", "--max-dead=1")):
        assert typed("check", *limits) == 0
        heads, row, verdict = typed.out.splitlines()
        assert heads.split() == ["BACKEND", "WAITING", "RUNNING", "DEAD", "OLDEST", "(S)", "STATUS"]
        name, waiting, running, dead, oldest, status = row.split()
        assert (name, waiting, running, dead, status) == ("durable", "2", "0", "1", "ready")
        assert 100 <= float(oldest) < 200
        assert verdict == "ready"


@pytest.mark.parametrize(
    ("limit", "problem"),
    [
        ("--max-backlog=0", "1 waiting, more than 0"),
        ("--max-age=99.5", "one has been due for 1"),
        ("--max-dead=0", "1 dead, more than 0"),
    ],
)
def test_beyond_a_limit_it_is_not(limit: str, problem: str, file: Path, typed: Typed) -> None:
    """It is said which."""
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("one", at=time.time() - 100)])
    assert typed("check", limit) == 1
    assert problem in typed.out
    assert typed.out.endswith("\nnot ready\n")
    told = typed.json("check", limit)
    assert isinstance(told, dict)
    assert told["ready"] is False
    durable = told["backends"]["durable"]
    assert (durable["reachable"], durable["waiting"], durable["running"], durable["dead"]) == (True, 1, 0, 1)
    [told_problem] = durable["problems"]
    assert problem in told_problem


def test_an_engine_that_cannot_be_reached_is_not_ready(
    file: Path, other: Path, typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The others are looked at all the same."""
    monkeypatch.setenv(shop.OTHER, str(tmp_path / "gone" / "tasks.db"))
    told = typed.json("check")
    assert isinstance(told, dict)
    assert [told["backends"][name]["reachable"] for name in ("durable", "other")] == [True, False]
    assert told["backends"]["other"]["waiting"] is None
    assert typed("check") == 1
    assert "it cannot be reached: " in typed.out


@pytest.mark.parametrize("command", [("list",), ("show", "one"), ("retry", "one"), ("prune", "--before=1d")])
def test_an_engine_that_cannot_be_used_is_named_in_one_line(
    command: tuple[str, ...], typed: Typed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Without a traceback."""
    monkeypatch.setenv(shop.FILE, str(tmp_path / "gone" / "tasks.db"))
    assert typed(*command) == 1
    [line] = typed.err.splitlines()
    assert line.startswith("bg_di: ")
    assert "gone/tasks.db" in line


TELL = "tell how its tasks stand (no capability 'listing')"
CHANGE = "put back or forget what is dead (no capability 'dead')"


@pytest.mark.parametrize(
    ("command", "cannot"),
    [(("list",), TELL), (("show", "one"), TELL), (("retry", "one"), CHANGE), (("prune", "--before=1d"), CHANGE)],
)
def test_an_engine_that_cannot_says_so(command: tuple[str, ...], cannot: str, simple: App, typed: Typed) -> None:
    """There is nothing that the command could do."""
    typed.app = simple
    assert typed(*command) == 1
    assert typed.err == f"bg_di: the backend 'simple' cannot {cannot}: ask the engine itself\n"


def test_an_engine_that_cannot_tell_is_not_said_to_be_ready(simple: App, typed: Typed) -> None:
    """Nor to be unreachable."""
    typed.app = simple
    assert typed("check") == 1
    assert "cannot tell" in typed.out
    told = typed.json("check")
    assert isinstance(told, dict)
    assert told["backends"]["simple"]["reachable"] is None


def test_an_engine_that_only_counts_is_ready_unless_it_is_asked_for_more(typed: Typed) -> None:
    """It has no tasks to look at."""
    typed.app = shop.shop(backends={"durable": Counting()})
    assert typed("check", "--max-backlog=5", "--max-dead=0") == 0
    _, row, _ = typed.out.splitlines()
    assert row.split() == ["durable", "5", "-", "0", "-", "ready"]
    assert typed("check", "--max-age=60") == 1
    assert "it cannot tell how long tasks have been due: leave --max-age out" in typed.out
    assert typed("list") == 1


def test_an_engine_that_shows_no_tasks_may_still_put_them_back(typed: Typed) -> None:
    """Why one of them is not, it cannot tell."""
    memory = Memory()
    for task_id in ("one", "two"):
        memory.of("shop").kept[task_id] = Kept(message(task_id), state="dead")
    typed.app = shop.shop(backends={"durable": Counting(memory=memory)})
    assert typed("retry", "one", "gone") == 1
    assert typed.out == "one is put back\n"
    assert typed.err == "bg_di: gone is not put back: there is no such task, or it has been pruned\n"
    assert typed("retry", "--all-dead") == 0
    assert typed.out == "two is put back\n"


def test_beside_an_engine_that_cannot_tell_the_others_do(mixed: App, file: Path, typed: Typed) -> None:
    """And it is said what is missing."""
    keep(file, [message("one")], becoming="dead")
    typed.app = mixed
    assert typed("list", "--json") == 0
    assert "theirs are not listed" in typed.err
    assert typed("show", "nobody") == 1
    assert "or it has been pruned; the backend 'simple' cannot tell" in typed.err
    assert typed("retry", "one") == 0
    assert "none of its tasks is put back" in typed.err
    assert typed("prune", "--before=1d") == 0
    assert "nothing is pruned there" in typed.err
    assert typed("check") == 1
    assert typed("check", "--backend=durable") == 0


def test_no_command_but_the_worker_starts_the_application(file: Path) -> None:
    """Typed in a shell: neither its start-up nor its worker, so that what waits still does."""
    keep(file, [message("dead")], becoming="dead")
    keep(file, [message("waits")])
    env = {shop.FAILS: "start-up"}
    for command, *options in (
        ["list"],
        ["show", "waits"],
        ["retry", "dead"],
        ["prune", "--before=1d"],
        ["check", "--max-dead=0"],
    ):
        ran = run("-m", "bg_di", command, SHOP, *options, env=env)
        assert ran.returncode == 0, ran.stderr
        assert SECRET not in ran.stdout + ran.stderr
    ran = run("-m", "bg_di", "list", SHOP, "--json")
    assert {each["task_id"]: each["state"] for each in json.loads(ran.stdout)} == {
        "waits": "accepted",
        "dead": "accepted",
    }


def test_a_reader_that_has_seen_enough_is_no_error_to_tell(file: Path) -> None:
    """As with `head`."""
    keep(file, [message("one")])
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [*PYTHON, "-m", "bg_di", "list", SHOP], cwd=ROOT, stdout=writing, stderr=subprocess.PIPE, check=False
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, b"")
