"""What a heartbeat does, and what it leaves. Time is what the test says."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

import pytest

from bg_di.backends import Delivery, Entry
from bg_di.backends.sqlite import heartbeat, pulse, rhythm
from bg_di.backends.sqlite.file import Operation, TaskFile
from bg_di.backends.sqlite.heartbeat import Heartbeat, Knowledge
from bg_di.backends.sqlite.in_hand import InHand, Receipt
from bg_di.backends.sqlite.owner import Owner, alive
from bg_di.backends.sqlite.pulse import Pulse
from bg_di.backends.sqlite.store import Store
from bg_di.backends.sqlite.terms import Terms
from bg_di.errors import BackendUnavailable
from tests.backends.sqlite.files import NAME, claim, connect, message

T = TypeVar("T")
TERMS = Terms(max_deliveries=2, lease=60, unknown_after=3600, keep=100, busy_timeout=0.1)


class Ears:
    """Hears what there is to hear."""

    def __init__(self) -> None:
        self.more = 0
        self.lost: list[str] = []
        self.dead: list[str] = []
        self.failure: BaseException | None = None

    def hear_of_more(self) -> None:
        self.more += 1

    def hear_of_lost(self, delivery: Delivery) -> None:
        self.lost.append(delivery.task_id)

    def hear_of_dead(self, entry: Entry) -> None:
        self.dead.append(entry.task_id)

    def hear_of_failure(self, error: BaseException | None) -> None:
        self.failure = error


class Stage:
    """One owner with its heartbeat, in the place of the database thread."""

    def __init__(self, path: Path, loop: asyncio.AbstractEventLoop) -> None:
        self.now = 1000.0
        self.path = str(path)
        self.file = TaskFile(self.path, "shop", busy_timeout=0.1)
        self.do(Store.owners)
        self.loop = loop
        self.owner = Owner(self.path)
        self.in_hand = InHand()
        self.ears = Ears()

    def start(self) -> None:
        self.heart = Heartbeat(
            self.path,
            TERMS,
            owner=self.owner,
            knowledge=Knowledge(names=[NAME], version=1),
            in_hand=self.in_hand,
            pulse=Pulse(self.loop, TERMS.lease),
            listener=self.ears,
        )

    def do(self, work: Callable[[Store], T]) -> T:
        operation = Operation(work)
        self.file.execute([operation])
        assert operation.error is None
        result: T = operation.result
        return result

    def accept(self, *task_ids: str, **options: Any) -> None:
        self.do(lambda store: store.accept([message(each, at=self.now, **options) for each in task_ids]))

    def claim(self, owner: Owner, slots: int = 100) -> list[Delivery]:
        return self.do(lambda store: claim(store, owner=owner.name, slots=slots, now=self.now, lease=TERMS.lease))

    def take(self) -> tuple[Receipt, list[Delivery]]:
        """The owner claims, and hears of it."""
        receipt, deliveries = Receipt(), self.claim(self.owner)
        self.in_hand.take(receipt, deliveries)
        return receipt, deliveries

    def show(self, task_id: str) -> Entry:
        entry = self.do(lambda store: store.show(task_id))
        assert entry is not None
        return entry

    def beat(self, *, after: float = 0) -> None:
        self.now += after
        self.heart.beat(self.file)

    def beats(self, seconds: float) -> None:
        """As many as there are in so many seconds, though not one each second."""
        for _ in range(int(seconds // 10)):
            self.beat(after=10)

    def let_loop_answer(self) -> None:
        self.loop.run_until_complete(asyncio.sleep(0))


@pytest.fixture
def stage(path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Stage]:
    with closing(asyncio.new_event_loop()) as loop:
        stage = Stage(path, loop)
        clock = SimpleNamespace(time=lambda: stage.now, monotonic=lambda: stage.now)
        for module in (heartbeat, pulse, rhythm):
            monkeypatch.setattr(module, "time", clock)
        stage.start()
        yield stage
        assert stage.ears.failure is None
        stage.owner.release()
        stage.file.close()


@pytest.fixture
def other(stage: Stage) -> Iterator[Owner]:
    """Another one who lives."""
    other = Owner(stage.path)
    yield other
    other.release()


def test_a_beat_that_finds_nothing_to_do_writes_nothing(stage: Stage, path: Path, other: Owner) -> None:
    """Or each of them would wake the disk. What others have in hand is nothing to do."""
    stage.accept("a", "b")
    stage.take()
    stage.beat()
    stage.claim(other)
    with closing(connect(path)) as connection:
        (before,) = connection.execute("PRAGMA data_version").fetchone()
        for _ in range(19):
            stage.beat(after=1)
        assert connection.execute("PRAGMA data_version").fetchone() == (before,)
        stage.beat(after=1)
        assert connection.execute("PRAGMA data_version").fetchone() != (before,)


def test_an_idle_beat_waits_for_nobody_who_writes(stage: Stage, path: Path) -> None:
    """It has nothing to write. When it has, it says that it could not, until it can."""
    stage.beat()
    with closing(connect(path)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        stage.beat(after=1)
        assert stage.ears.failure is None
        stage.beat(after=60)
        stage.beat(after=1)
        assert isinstance(stage.ears.failure, BackendUnavailable)
    stage.beat(after=1)


def test_a_lease_is_renewed_before_it_ends(stage: Stage) -> None:
    """Several times, should one of them fail."""
    stage.accept("a")
    stage.take()
    for _ in range(6):
        stage.beat(after=20)
        stage.let_loop_answer()
        assert stage.show("a").lease_until == stage.now + 60
    assert stage.ears.lost == []


def test_a_loop_that_hangs_keeps_its_leases_no_longer_than_one_of_them(stage: Stage) -> None:
    """What its tasks have in hand is somebody else's at last; and it is kept again as soon as the loop answers."""
    stage.accept("a", "b")
    stage.take()
    stage.beats(110)
    last = stage.now - 40
    assert stage.show("a").lease_until == last + 60
    stage.let_loop_answer()
    stage.beats(10)
    assert stage.show("a").lease_until == stage.now + 60
    stage.beats(200)
    assert (stage.show("a").state, stage.show("a").deliveries, stage.ears.lost) == ("accepted", 1, [])
    stage.let_loop_answer()
    stage.beats(40)
    assert stage.ears.lost == ["a", "b"]
    assert stage.in_hand.held() == []


def test_a_loop_that_is_closed_does_not_answer(stage: Stage) -> None:
    """It is as one that hangs."""
    stage.loop.close()
    stage.accept("a")
    stage.take()
    stage.beats(180)
    assert stage.show("a").state == "accepted"


def test_what_was_taken_is_heard_of_once(stage: Stage, other: Owner) -> None:
    """And not renewed any more; what is his again is another delivery."""
    stage.accept("a")
    stage.take()
    stage.do(lambda store: store.take_back(dead={stage.owner.name}, max_deliveries=5, now=stage.now))
    stage.claim(other)
    stage.beat()
    stage.beats(50)
    assert stage.ears.lost == ["a"]
    assert stage.show("a").owner == other.name


def test_what_nobody_has_heard_of_goes_back_uncounted(stage: Stage) -> None:
    """Whoever asked for it has gone, or the commit of his claim said nothing."""
    stage.accept("a")
    _, kept = stage.take()
    stage.accept("b")
    receipt, _ = stage.take()
    stage.accept("c")
    stage.claim(stage.owner)
    receipt.given_up = True
    stage.beat()
    assert [(stage.show(each).state, stage.show(each).deliveries) for each in "abc"] == [
        ("running", 1),
        ("accepted", 0),
        ("accepted", 0),
    ]
    assert stage.in_hand.held() == kept
    assert stage.ears.more


def test_what_the_dead_had_is_taken_back_at_once(stage: Stage, other: Owner) -> None:
    """Counted; the last time it is dead, of which the one who did it is told, once."""
    stage.accept("b")
    stage.claim(other)
    stage.accept("a")
    for state in ("accepted", "dead"):
        killed = Owner(stage.path)
        stage.claim(killed)
        killed.forget()
        stage.beat()
        assert stage.show("a").state == state
    assert stage.show("b").state == "running"
    stage.beat()
    assert alive(stage.path, killed.name) is None
    assert stage.ears.dead == ["a"]
    assert stage.ears.more


def test_what_the_living_let_expire_is_taken_when_they_had_the_time_to_renew_it(stage: Stage, other: Owner) -> None:
    """Where nobody could write, or the machine was suspended, all leases end, and nobody is to blame."""
    stage.accept("a")
    stage.claim(other)
    stage.beat(after=61)
    stage.beats(20)
    assert stage.show("a").state == "running"
    stage.beats(10)
    assert (stage.show("a").state, stage.show("a").deliveries) == ("accepted", 1)


def test_what_nobody_knows_is_dead_when_somebody_has_watched_for_long_enough(stage: Stage) -> None:
    """And without a gap, after which those that know it would have to say so first."""
    stage.accept("a", name="unknown")
    stage.accept("b")
    stage.beats(3590)
    assert stage.show("a").state == "accepted"
    stage.beat(after=2000)
    stage.beats(3590)
    assert stage.show("a").state == "accepted"
    stage.beats(10)
    assert stage.ears.dead == ["a"]
    stage.beats(10)
    assert (stage.ears.dead, stage.show("b").state) == (["a"], "accepted")


def test_what_is_done_is_pruned_after_a_while(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """In steps, so that others can write in between; then only now and then."""
    monkeypatch.setattr(heartbeat, "_PRUNED_AT_ONCE", 2)
    stage.beat()
    stage.accept("a", "b", "c")
    assert stage.do(lambda store: [store.cancel(each, now=stage.now) for each in "abc"]) == [True] * 3
    kept = []
    for after in (59, 59, 1, 1):
        stage.beat(after=after)
        kept.append(len(stage.do(lambda store: store.entries(limit=9))))
    assert kept == [3, 1, 0, 0]


def test_the_lock_files_of_the_dead_go_when_they_have_nothing_in_hand(stage: Stage, other: Owner) -> None:
    """In no application: without his file, nobody would know that he is dead."""
    stage.do(lambda store: Store(store._connection, "elsewhere").accept([message("a")]))
    stage.do(lambda store: claim(Store(store._connection, "elsewhere"), owner=other.name))
    idle = Owner(stage.path)
    idle.forget()
    other.forget()
    stage.beat()
    assert [alive(stage.path, owner.name) for owner in (stage.owner, other, idle)] == [True, False, None]


def test_a_lock_file_that_somebody_deletes_is_put_back(stage: Stage) -> None:
    """With the next beat."""
    for file in Path(stage.path).parent.glob("*-owner-*"):
        file.unlink()
    assert alive(stage.path, stage.owner.name) is None
    stage.beat()
    assert alive(stage.path, stage.owner.name) is True


def test_a_beat_that_fails_is_made_up_for_by_the_next(stage: Stage, path: Path) -> None:
    """The leases first of all."""
    stage.accept("a")
    stage.take()
    moved = path.rename(path.with_suffix(".moved"))
    stage.beat(after=20)
    assert isinstance(stage.ears.failure, BackendUnavailable)
    moved.rename(path)
    stage.beat(after=1)
    assert stage.ears.failure is None
    assert stage.show("a").lease_until == stage.now + 60


def test_leases_are_renewed_whatever_else_fails(stage: Stage) -> None:
    """Here its lock file cannot be put back, and nobody knows that it lives."""
    stage.accept("a")
    stage.take()
    lock, stage.owner._descriptor = stage.owner._descriptor, None
    stage.beat(after=20)
    assert isinstance(stage.ears.failure, BackendUnavailable)
    assert stage.show("a").lease_until == stage.now + 60
    stage.owner._descriptor = lock
    stage.beat()
