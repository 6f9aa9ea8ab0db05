"""The store against a model of it: whatever happens in whatever order, nothing is lost and nothing is in two hands."""

import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, multiple, rule

from bg_di.backends import Delivery, StoredState
from bg_di.backends.sqlite.store import Store
from tests.backends.sqlite.files import claim, connect, message

NAMES = ["mail", "bill"]
OWNERS = ["first", "second"]
LEASE = 10
MAX_DELIVERIES = 3
SLOTS = st.integers(0, 3)
SECONDS = st.integers(0, 15)


@dataclass
class Expected:
    """A task as it should stand."""

    task_id: str
    name: str
    due_at: float
    order: int
    key: str | None
    until: float | None
    state: StoredState = "accepted"
    attempt: int = 0
    deliveries: int = 0
    token: int = 0
    owner: str | None = None
    lease_until: float | None = None

    def becomes(self, state: StoredState) -> None:
        self.state, self.owner, self.lease_until = state, None, None


class StoreMachine(RuleBasedStateMachine):
    """Two workers, who take, finish, lose and forget tasks, and time, which only goes on."""

    deliveries = Bundle("deliveries")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.connection = connect(Path(self.folder.name) / "tasks.db")
        self.connection.execute("BEGIN")  # nothing has to reach the disk
        self.store = Store(self.connection, "shop")
        self.now = 0
        self.accepted = 0
        self.expected: dict[str, Expected] = {}
        self.stand_for: dict[str, str] = {}

    def teardown(self) -> None:
        self.connection.close()
        self.folder.cleanup()

    def holder(self, name: str, key: str | None) -> Expected | None:
        same = [task for task in self.expected.values() if key and (task.name, task.key) == (name, key)]
        return next((task for task in same if self.holds(task)), None)

    def holds(self, task: Expected) -> bool:
        remembered = task.state == "succeeded" and task.until is not None and task.until > self.now
        return task.state in {"accepted", "running"} or remembered

    def is_replaced(self, task: Expected) -> bool:
        return self.holder(task.name, task.key) is not None

    def held(self, delivery: Delivery) -> Expected | None:
        """The task, if the delivery still counts."""
        task = self.expected.get(delivery.task_id)
        return task if task and task.state == "running" and task.token == delivery.token else None

    @rule(seconds=st.integers(1, LEASE))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(name=st.sampled_from(NAMES), delay=SECONDS, key=st.sampled_from([None, "k"]), unique_for=SECONDS)
    def accept(self, name: str, delay: int, key: str | None, unique_for: int) -> None:
        self.accepted += 1
        task_id, until = str(self.accepted), None if key is None else self.now + unique_for
        given = message(task_id, name=name, at=self.now, due_at=self.now + delay, unique_key=key, unique_until=until)
        (result,) = self.store.accept([given])
        holder = self.holder(name, key)
        if holder is None:
            self.expected[task_id] = Expected(task_id, name, self.now + delay, self.accepted, key, until)
            assert (result.task_id, result.is_new) == (task_id, True)
        else:
            assert (result.task_id, result.is_new) == (holder.task_id, False)
            self.stand_for[task_id] = holder.task_id

    @rule(
        target=deliveries, owner=st.sampled_from(OWNERS), names=st.sets(st.sampled_from(NAMES)), slots=st.integers(0, 3)
    )
    def claim(self, owner: str, names: set[str], slots: int) -> object:
        claimed = claim(self.store, owner=owner, names=names, slots=slots, now=self.now, lease=LEASE)
        due = [
            task
            for task in self.expected.values()
            if task.state == "accepted" and task.due_at <= self.now and task.name in names
        ]
        first = sorted(due, key=lambda task: (task.due_at, task.order))[:slots]
        assert [delivery.task_id for delivery in claimed] == [task.task_id for task in first]
        for task, delivery in zip(first, claimed, strict=True):
            assert delivery.token > task.token
            assert (delivery.attempt, delivery.delivery) == (task.attempt, task.deliveries + 1)
            task.state, task.owner, task.lease_until = "running", owner, self.now + LEASE
            task.token, task.deliveries = delivery.token, task.deliveries + 1
        return multiple(*claimed)

    @rule(delivery=deliveries)
    def renew(self, delivery: Delivery) -> None:
        task = self.held(delivery)
        assert self.store.renew([delivery], now=self.now, lease=LEASE) == ([] if task else [delivery])
        if task:
            task.lease_until = self.now + LEASE

    @rule(delivery=deliveries)
    def acknowledge(self, delivery: Delivery) -> None:
        task = self.held(delivery)
        assert self.store.acknowledge(delivery, now=self.now) == bool(task)
        if task:
            task.becomes("succeeded")
            task.attempt += 1

    @rule(delivery=deliveries, delay=SECONDS)
    def reschedule(self, delivery: Delivery, delay: int) -> None:
        task, at, attempt = self.held(delivery), self.now + delay, delivery.attempt + 1
        assert self.store.reschedule(delivery, at=at, attempt=attempt, reason="", now=self.now) == bool(task)
        if task:
            task.becomes("accepted")
            task.due_at, task.attempt, task.deliveries = at, attempt, 0

    @rule(delivery=deliveries)
    def release(self, delivery: Delivery) -> None:
        task = self.held(delivery)
        assert self.store.release(delivery, now=self.now) == bool(task)
        if task:
            task.becomes("accepted")
            task.deliveries -= 1

    @rule(owner=st.sampled_from(OWNERS))
    def release_all(self, owner: str) -> None:
        in_hand = [task for task in self.expected.values() if task.owner == owner]
        assert self.store.release_all(owner, now=self.now) == len(in_hand)
        for task in in_hand:
            task.becomes("accepted")
            task.deliveries -= 1

    @rule(delivery=consumes(deliveries))
    def bury(self, delivery: Delivery) -> None:
        task, attempt = self.held(delivery), delivery.attempt + 1
        assert self.store.bury(delivery, attempt=attempt, reason="", now=self.now) == bool(task)
        if task:
            task.becomes("dead")
            task.attempt = attempt

    @rule(dead=st.sets(st.sampled_from(OWNERS)))
    def take_back(self, dead: set[str]) -> None:
        taken = self.store.take_back(dead=dead, max_deliveries=MAX_DELIVERIES, now=self.now)
        lost = [
            task
            for task in self.expected.values()
            if task.lease_until is not None and (task.lease_until <= self.now or task.owner in dead)
        ]
        for task in lost:
            task.becomes("dead" if task.deliveries >= MAX_DELIVERIES else "accepted")
        assert [(entry.task_id, entry.state) for entry in taken] == [(task.task_id, task.state) for task in lost]

    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from([*self.expected, "unheard of"]))
        task = self.expected.get(task_id)
        waits = task is not None and task.state == "accepted"
        assert self.store.cancel(task_id, now=self.now) == waits
        if task and waits:
            task.becomes("cancelled")

    @rule(data=st.data())
    def retry(self, data: st.DataObject) -> None:
        task_id = data.draw(st.sampled_from([*self.expected, "unheard of"]))
        task = self.expected.get(task_id)
        comes_back = task is not None and task.state == "dead" and not self.is_replaced(task)
        assert self.store.retry(task_id, now=self.now) == comes_back
        if task and comes_back:
            task.becomes("accepted")
            task.due_at, task.attempt, task.deliveries = self.now, 0, 0

    @invariant()
    def everything_is_as_expected(self) -> None:
        kept = {entry.task_id: entry for entry in self.store.entries(limit=1000)}
        assert kept.keys() == self.expected.keys()
        for task_id, task in self.expected.items():
            entry = kept[task_id]
            assert (entry.state, entry.due_at, entry.attempt) == (task.state, task.due_at, task.attempt)
            assert (entry.deliveries, entry.owner, entry.lease_until) == (task.deliveries, task.owner, task.lease_until)
        assert self.store.owners() == {task.owner for task in self.expected.values() if task.owner}

    @invariant()
    def what_stands_for_others_is_known(self) -> None:
        for task_id, stands in self.stand_for.items():
            assert self.store.show(task_id) == self.store.show(stands)

    @invariant()
    def counts_are_right(self) -> None:
        states = Counter(task.state for task in self.expected.values())
        due = [task.due_at for task in self.expected.values() if task.state == "accepted"]
        counts = self.store.counts(now=self.now)
        assert (counts.waiting, counts.running) == (states["accepted"], states["running"])
        assert counts.dead == states["dead"]
        assert counts.oldest == max([0, *(self.now - at for at in due)])


TestStore = StoreMachine.TestCase
TestStore.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
