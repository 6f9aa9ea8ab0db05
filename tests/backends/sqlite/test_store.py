"""What the store keeps, hands out, takes back and forgets. Time is what the test says."""

import multiprocessing
import re
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Any

import pytest

from bg_di.backends import Accepted, Counts, Entry
from bg_di.backends.sqlite import statements
from bg_di.backends.sqlite.store import Store
from tests.backends.sqlite.files import NAME, claim, connect, ids, message


@pytest.fixture
def connection(tmp_path: Path) -> Iterator[sqlite3.Connection]:
    with closing(connect(tmp_path / "tasks.db")) as connection:
        yield connection


@pytest.fixture
def store(connection: sqlite3.Connection) -> Store:
    return Store(connection, "shop")


def show(store: Store, task_id: str) -> Entry:
    entry = store.show(task_id)
    assert entry is not None
    return entry


def test_a_task_goes_in_and_comes_out_as_it_was(store: Store) -> None:
    """Its bytes too, whatever they are."""
    given = message("a", at=5, body=bytes(range(256)), version=3, due_at=7)
    assert store.accept([given]) == [Accepted(task_id="a", is_new=True)]
    assert store.state("a") == "accepted"
    (delivery,) = claim(store, now=8, version=3)
    assert (delivery.name, delivery.version, delivery.body) == (NAME, 3, bytes(range(256)))
    assert (delivery.added_at, delivery.due_at, delivery.attempt, delivery.delivery) == (5, 7, 0, 1)
    entry = show(store, "a")
    assert (entry.state, entry.since, entry.owner, entry.lease_until) == ("running", 8, "worker", 68)


def test_what_succeeded_is_not_handed_out_again(store: Store) -> None:
    """It stays, so that somebody can ask how it went."""
    store.accept([message("a")])
    (delivery,) = claim(store)
    assert store.acknowledge(delivery, now=3)
    assert claim(store, now=1000) == []
    entry = show(store, "a")
    assert (entry.state, entry.since, entry.attempt, entry.owner) == ("succeeded", 3, 1, None)


def test_nothing_is_known_of_a_task_that_nobody_handed_over(store: Store) -> None:
    """Nor can anything be done with it."""
    assert store.show("a") is None
    assert store.state("a") is None
    assert not store.cancel("a", now=0)
    assert not store.retry("a", now=0)


def test_handing_the_same_task_over_again_adds_nothing(store: Store) -> None:
    """Whoever does not know whether it was taken may ask again."""
    assert [one.is_new for one in store.accept([message("a"), message("b"), message("a")])] == [True, True, False]
    assert store.accept([message("b")]) == [Accepted(task_id="b", is_new=False)]
    assert ids(claim(store)) == ["a", "b"]


def test_applications_that_share_a_file_do_not_see_each_other(store: Store, connection: sqlite3.Connection) -> None:
    """Nor take, count, cancel, bury, or forget what is another one's; their owners are known to all."""
    other = Store(connection, "other")
    key: dict[str, Any] = {"unique_key": "k", "unique_until": 100.0}
    store.accept([message("a", **key), message("b")])
    assert other.accept([message("c", **key)]) == [Accepted(task_id="c", is_new=True)]
    assert other.counts(now=0) == Counts(waiting=1, running=0, dead=0, oldest=0)
    assert other.state("a") is None
    assert not other.cancel("a", now=0)
    assert ids(claim(other)) == ["c"]
    claim(store, slots=1)
    assert other.owners() == {"worker"}
    assert [one.task_id for one in other.take_back(dead={"worker"}, max_deliveries=1, now=0)] == ["c"]
    assert other.bury_unknown(before=1000, now=1000) == []
    assert other.prune(before=1000, now=1000, dead=True) == 1
    assert store.counts(now=0) == Counts(waiting=1, running=1, dead=0, oldest=0)


def test_the_oldest_is_due_first_and_as_many_as_there_are_slots(store: Store) -> None:
    """What became due at the same time, in the order in which it was accepted; what is not due yet waits."""
    store.accept(
        [message("late", due_at=30), message("c", due_at=20), message("a", due_at=10), message("d", due_at=20)]
    )
    assert ids(claim(store, slots=2, now=25)) == ["a", "c"]
    assert ids(claim(store, slots=2, now=25)) == ["d"]
    assert claim(store, slots=0, now=99) == []
    assert ids(claim(store, now=30)) == ["late"]


def test_it_is_known_when_something_more_is_due(store: Store) -> None:
    """Of what the worker knows; what is due already, it takes."""
    store.accept(
        [
            message("a"),
            message("b", due_at=30),
            message("c", due_at=20, name="other"),
            message("d", due_at=10, version=2),
        ]
    )
    assert store.next_due(names=[NAME], now=0) == 30
    assert store.next_due(names=[NAME], version=2, now=0) == 10
    assert store.next_due(names=[NAME, "other"], now=20) == 30
    assert store.next_due(names=[NAME], now=30) is None


def test_a_worker_takes_only_names_and_versions_that_it_knows(store: Store) -> None:
    """The others wait for one that does."""
    store.accept([message("a", name="old"), message("b", name="new"), message("c", name="old", version=2)])
    assert ids(claim(store, names=["old"])) == ["a"]
    assert claim(store, names=[]) == []
    assert ids(claim(store, names=["old", "new"], version=2)) == ["b", "c"]


@pytest.mark.parametrize("state", ["accepted", "running", "succeeded"])
def test_a_unique_key_is_held_by_what_waits_runs_and_has_succeeded(store: Store, state: str) -> None:
    """What has, until its time: the task that is there stands for the new one."""
    store.accept([message("a", unique_key="k", unique_until=100)])
    if state != "accepted":
        (delivery,) = claim(store)
        if state == "succeeded":
            store.acknowledge(delivery, now=1)
    assert store.state("a") == state
    stands = Accepted(task_id="a", is_new=False)
    again = message("b", at=99, unique_key="k", unique_until=200)
    assert store.accept([again, again]) == [stands, stands]
    is_free = state == "succeeded"
    assert store.accept([message("b", at=100, unique_key="k", unique_until=200)])[0].is_new == is_free


def test_a_unique_key_is_one_names(store: Store) -> None:
    """And one key's."""
    store.accept([message("a", unique_key="k", unique_until=100)])
    other_name = message("b", name="other", unique_key="k", unique_until=100)
    other_key = message("c", unique_key="l", unique_until=100)
    assert [one.is_new for one in store.accept([other_name, other_key, message("d")])] == [True, True, True]


def test_what_is_dead_or_cancelled_holds_no_key(store: Store) -> None:
    """Nothing will come of it, so it must not stand for another; and it comes back only if nobody else does."""
    key: dict[str, Any] = {"unique_key": "k", "unique_until": 100.0}
    store.accept([message("a", **key)])
    store.bury(claim(store)[0], attempt=1, reason="no", now=1)
    assert store.accept([message("b", **key)])[0].is_new
    assert not store.retry("a", now=2)
    assert store.cancel("b", now=2)
    assert store.retry("a", now=2)
    assert not store.accept([message("c", at=3, **key)])[0].is_new


def test_what_another_task_stands_for_can_be_asked_for(store: Store, connection: sqlite3.Connection) -> None:
    """Somebody may have been told its id; it is forgotten together with what stands for it, and is nobody else's."""
    key: dict[str, Any] = {"unique_key": "k", "unique_until": 100.0}
    store.accept([message("a", **key), message("b", **key), message("c", **key)])
    other = Store(connection, "other")
    assert store.show("b") == store.show("a")
    assert other.show("b") is None
    assert not other.cancel("b", now=1)
    store.bury(claim(store)[0], attempt=1, reason="no", now=1)
    assert (store.state("c"), store.retry("b", now=2), store.state("c")) == ("dead", True, "accepted")
    assert store.cancel("c", now=3)
    assert store.prune(before=50, now=50) == 1
    assert connection.execute("SELECT * FROM bg_di_aliases").fetchall() == []


def test_an_id_is_its_own_before_it_is_an_alias(store: Store) -> None:
    """It was handed over again, when the key had run out."""
    store.accept([message("a", unique_key="k", unique_until=100)])
    store.acknowledge(claim(store)[0], now=1)
    for at in (1, 100):
        store.accept([message("b", at=at, unique_key="k", unique_until=200)])
    entry = store.show("b")
    assert entry is not None
    assert entry.task_id == "b"


def test_a_key_that_has_run_out_keeps_nobody_from_coming_back(store: Store) -> None:
    """Whosever it is; what waits and runs keeps it."""
    store.accept([message("a", unique_key="k", unique_until=100)])
    store.bury(claim(store)[0], attempt=1, reason="no", now=1)
    store.accept([message("b", unique_key="k", unique_until=50)])
    assert not store.retry("a", now=50)
    store.acknowledge(claim(store)[0], now=1)
    assert not store.retry("a", now=49)
    assert store.retry("a", now=50)


def test_who_renews_keeps_what_is_his_and_hears_what_is_lost(store: Store) -> None:
    """The lease is counted from now."""
    store.accept([message("a"), message("b")])
    first, second = claim(store, lease=10)
    assert store.renew([first], now=9, lease=10) == []
    assert store.take_back(dead=(), max_deliveries=5, now=18, expired=9) == []
    assert [one.task_id for one in store.take_back(dead=(), max_deliveries=5, now=18)] == ["b"]
    assert store.renew([first, second], now=18, lease=10) == [second]
    assert store.take_back(dead=(), max_deliveries=5, now=27) == []


def test_whoever_lost_a_delivery_is_not_heard(store: Store) -> None:
    """Whatever he says of it changes nothing, before and after it is delivered again; the new one's word counts."""
    store.accept([message("a")])
    (late,) = claim(store, owner="slow", lease=10)
    assert len(store.take_back(dead=(), max_deliveries=5, now=10)) == 1

    def says() -> list[bool]:
        return [
            store.acknowledge(late, now=11),
            store.reschedule(late, at=12, attempt=1, reason="", now=11),
            store.release(late, now=11),
            store.bury(late, attempt=1, reason="", now=11),
            not store.renew([late], now=11, lease=10),
        ]

    before = show(store, "a")
    assert says() == [False] * 5
    assert show(store, "a") == before
    (again,) = claim(store, now=11)
    assert again.token > late.token
    running = show(store, "a")
    assert says() == [False] * 5
    assert show(store, "a") == running
    assert store.acknowledge(again, now=12)
    assert says() == [False] * 5


def test_a_lease_that_ran_out_unnoticed_is_still_its_owners(store: Store) -> None:
    """As long as nobody has taken the task back, nobody else has it."""
    store.accept([message("a")])
    (delivery,) = claim(store, lease=10)
    assert store.acknowledge(delivery, now=1000)


def test_what_a_dead_owner_had_is_taken_back_before_its_lease_ends(store: Store) -> None:
    """From him only; it keeps its place, and its deliveries are counted."""
    store.accept([message("a"), message("b"), message("c", at=1)])
    claim(store, owner="dead", slots=1)
    claim(store, owner="slow", slots=1)
    (taken,) = store.take_back(dead={"dead", "unheard of"}, max_deliveries=5, now=1)
    assert (taken.task_id, taken.state, taken.owner) == ("a", "accepted", None)
    assert taken.reason == "delivery 1 was lost: its owner dead died"
    again, _ = claim(store, now=2)
    assert (again.task_id, again.delivery) == ("a", 2)


def test_a_task_that_costs_its_owners_their_lives_is_dead_at_last(store: Store) -> None:
    """With each of them named."""
    store.accept([message("a")])
    for number in range(1, 4):
        (delivery,) = claim(store, owner=f"w{number}", now=number, lease=0.5)
        assert delivery.delivery == number
        dead = {"w1", "w3"}
        taken = store.take_back(dead=dead, max_deliveries=3, now=number + 0.5)
        assert taken == [show(store, "a")]
    entry = show(store, "a")
    assert entry.state == "dead"
    assert entry.reason == (
        "delivery 1 was lost: its owner w1 died; "
        "delivery 2 was lost: its owner w2 let its lease expire; "
        "delivery 3 was lost: its owner w3 died"
    )
    assert claim(store, now=99) == []


def test_what_was_released_has_not_been_delivered(store: Store) -> None:
    """It is not counted, and is the first in line again; the token that was given for it is void."""
    store.accept([message("a"), message("b")])
    (delivery,) = claim(store, slots=1)
    assert store.release(delivery, now=1)
    assert not store.release(delivery, now=1)
    (again,) = claim(store, slots=1, now=2)
    assert (again.task_id, again.delivery) == ("a", 1)
    assert again.token > delivery.token


def test_an_owner_that_stops_gives_back_all_that_it_has(store: Store) -> None:
    """Also what it was given without hearing of it; nothing of others, and nothing that has ended."""
    store.accept([message("a"), message("b"), message("c"), message("d")])
    claim(store, owner="other", slots=1)
    first, *_ = claim(store, owner="stops")
    store.acknowledge(first, now=1)
    assert store.release_all("stops", now=2, keep=["d"]) == 1
    assert store.release_all("stops", now=2) == 1
    assert store.release_all("stops", now=2) == 0
    assert [(one.task_id, one.delivery) for one in claim(store, now=3)] == [("c", 1), ("d", 1)]
    assert store.owners() == {"other", "worker"}


def test_a_retry_is_a_delayed_delivery(store: Store) -> None:
    """The number of its attempts is kept, and its deliveries are counted anew: a retry is no crash."""
    store.accept([message("a")])
    claim(store, owner="w")
    store.take_back(dead={"w"}, max_deliveries=5, now=0)
    (delivery,) = claim(store)
    assert store.reschedule(delivery, at=50, attempt=1, reason="OSError: no", now=2)
    entry = show(store, "a")
    assert (entry.state, entry.due_at, entry.since, entry.reason) == ("accepted", 50, 2, "OSError: no")
    assert claim(store, now=49) == []
    (again,) = claim(store, now=50)
    assert (again.attempt, again.delivery) == (1, 1)


def test_what_is_dead_is_kept_until_somebody_puts_it_back(store: Store) -> None:
    """With the reason; afterwards it is as new."""
    store.accept([message("a")])
    assert store.bury(claim(store)[0], attempt=3, reason="ValueError: no", now=4)
    entry = show(store, "a")
    assert (entry.state, entry.since, entry.attempt, entry.reason) == ("dead", 4, 3, "ValueError: no")
    assert claim(store, now=99) == []
    assert store.retry("a", now=100)
    assert not store.retry("a", now=100)
    (delivery,) = claim(store, now=100)
    assert (delivery.attempt, delivery.delivery, delivery.due_at) == (0, 1, 100)
    assert show(store, "a").reason is None


def test_only_what_has_not_started_can_be_cancelled(store: Store) -> None:
    """It is not run."""
    store.accept([message("a"), message("b")])
    claim(store, slots=1)
    assert not store.cancel("a", now=1)
    assert store.cancel("b", now=1)
    assert not store.cancel("b", now=1)
    assert store.state("b") == "cancelled"
    assert claim(store, now=9) == []


def test_what_nobody_knows_is_dead_after_a_while(store: Store) -> None:
    """What somebody has known since, in that version or a later one, waits for him; and so does what was not due."""
    store.accept(
        [
            message("known", name="known"),
            message("older", name="known", version=2),
            message("newer", name="known", version=3),
            message("gone", name="gone"),
            message("unheard of", name="unheard of"),
            message("not due", name="unheard of", due_at=51),
        ]
    )
    store.know(["known"], version=2, now=60)
    store.know(["gone"], now=50)
    store.know(["gone"], now=40)
    buried = store.bury_unknown(before=50, now=100)
    assert [entry.task_id for entry in buried] == ["newer", "gone", "unheard of"]
    assert {(entry.state, entry.reason) for entry in buried} == {
        ("dead", "no worker knows a task of this name and version")
    }
    assert store.bury_unknown(before=50, now=100) == []


def test_what_there_is_to_do_is_counted(store: Store) -> None:
    """And how long the one that is due for longest has waited."""
    assert store.counts(now=9) == Counts(waiting=0, running=0, dead=0, oldest=0)
    store.accept([message("a"), message("b"), message("c", due_at=4), message("d", due_at=50)])
    store.bury(claim(store, slots=1)[0], attempt=1, reason="", now=0)
    claim(store, slots=1)
    assert store.counts(now=9) == Counts(waiting=2, running=1, dead=1, oldest=5)
    claim(store, slots=1, now=9)
    assert store.counts(now=9) == Counts(waiting=1, running=2, dead=1, oldest=0)


def test_entries_are_listed_from_the_last_one(store: Store) -> None:
    """In a state or in any, and not more than asked for."""
    store.accept([message("a"), message("b"), message("c")])
    claim(store, slots=1)
    assert [entry.task_id for entry in store.entries(limit=2)] == ["c", "b"]
    assert [entry.task_id for entry in store.entries("running", limit=9)] == ["a"]
    assert [entry.task_id for entry in store.entries("accepted", limit=9)] == ["c", "b"]
    assert store.entries("dead", limit=9) == []


def test_what_is_done_is_forgotten_after_a_while(store: Store) -> None:
    """What is dead only if asked for, what waits or runs never, and what holds a unique key not before it ends."""
    store.accept(
        [
            message("done"),
            message("key", unique_key="k", unique_until=90),
            message("dead"),
            message("runs"),
            message("cancelled", unique_key="l", unique_until=90),
            message("waits"),
        ]
    )
    store.cancel("cancelled", now=0)
    done, key, dead, _ = claim(store, slots=4)
    store.acknowledge(done, now=1)
    store.acknowledge(key, now=1)
    store.bury(dead, attempt=1, reason="", now=1)
    assert store.prune(before=0, now=50) == 0
    assert store.prune(before=50, now=50, limit=1) == 1
    assert store.prune(before=50, now=50) == 1
    assert {entry.task_id for entry in store.entries(limit=9)} == {"key", "dead", "runs", "waits"}
    assert store.prune(before=50, now=90) == 1
    assert store.prune(before=50, now=90, dead=True) == 1
    assert {entry.task_id for entry in store.entries(limit=9)} == {"runs", "waits"}


@pytest.mark.parametrize("statement", ["CLAIM", "NEXT_DUE", "TAKE_BACK", "COUNTS", "RELEASE_ALL", "ONE"])
def test_what_is_asked_often_is_answered_by_an_index(
    store: Store, connection: sqlite3.Connection, statement: str
) -> None:
    """However much waits or is kept."""
    sql = getattr(statements, statement)
    names = re.findall(r":(\w+)", sql)
    plan = connection.execute(f"EXPLAIN QUERY PLAN {sql}", dict.fromkeys(names)).fetchall()
    steps = [step for *_, step in plan if "bg_di_tasks" in step]
    assert steps
    assert all(step.startswith("SEARCH bg_di_tasks USING") for step in steps), steps
    assert not [step for *_, step in plan if "B-TREE" in step], plan


def drain(barrier: Barrier, path: Path, owner: str, took: "multiprocessing.Queue[list[str]]") -> None:
    with closing(connect(path)) as connection:
        store = Store(connection, "shop")
        barrier.wait(30)
        mine = []
        for number in range(50):
            store.accept([message(f"{owner}-{number}", at=number)])
            deliveries = claim(store, owner=owner, slots=3, now=100)
            mine += ids(deliveries)
            assert all(store.acknowledge(delivery, now=100) for delivery in deliveries)
        took.put(mine)


def test_four_processes_on_a_file_share_the_work(tmp_path: Path) -> None:
    """Each task is one process's, and none is told that the file is locked."""
    path = tmp_path / "tasks.db"
    connect(path).close()
    context = multiprocessing.get_context("spawn")
    barrier, took = context.Barrier(4), context.Queue()
    processes = [context.Process(target=drain, args=(barrier, path, f"w{number}", took)) for number in range(4)]
    for process in processes:
        process.start()
    shares = [took.get(timeout=60) for _ in processes]
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0] * 4
    assert Counter(Counter(task for share in shares for task in share).values()) == {1: 200}
