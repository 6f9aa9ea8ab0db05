"""What waits, what runs and what has ended, for whoever asks."""

from collections.abc import Mapping

from bg_di import log
from bg_di.backends import Capability, Counts
from bg_di.backends.capabilities import incapable
from bg_di.errors import BackendIncapable
from bg_di.handing_over.engines import Engines
from bg_di.observing.ledger import Ledger
from bg_di.record import State, TaskRecord


class BackgroundTasksMonitor:
    """Shows what the background tasks of an application do. Ask for it by annotation, anywhere in the application.

    Its methods may be called from any thread. It carries no arguments of tasks. `state` and `cancel` ask the engines
    too, and wait for them: a few milliseconds for a file, at most its busy limit.
    """

    def __init__(self, ledger: Ledger, engines: Engines) -> None:
        self._ledger = ledger
        self._engines = engines

    def snapshot(self) -> tuple[TaskRecord, ...]:
        """What runs and waits at this moment, a request after another, in the order in which it is run."""
        return tuple(self._ledger.record(call, state, since) for _, call, state, since in self._ledger.at_work())

    def history(self) -> tuple[TaskRecord, ...]:
        """What has ended in this process, the oldest first; as many as the option ``history`` says.

        Of a task on an engine: that it was accepted, where it was added; how it ended, where a worker ran it.
        """
        return self._ledger.history()

    def state(self, task_id: str) -> State | None:
        """How a task stands.

        Args:
            task_id: of a `TaskReference`, a `TaskContext` or a `TaskRecord`.

        Returns:
            None if there is no such task, or it is not remembered any more.

        Raises:
            BackendIncapable: nothing is known here, and an engine that might have it cannot tell.
            BackendUnavailable: an engine, which might know it, cannot be used at the moment.
        """
        for _, call, state, _ in self._ledger.at_work():
            if self._ledger.is_called(call, task_id):
                return state
        for name in self._able("listing"):
            entry = self._engines.of(name).show(task_id)
            if entry is not None:
                return entry.state
        known = self._remembered(task_id)
        if known in {None, "accepted"}:
            self._refuse_without("listing", task_id)
        return known

    def cancel(self, task_id: str) -> bool:
        """Do not run a task that waits. One that runs is not interrupted.

        Args:
            task_id: as for `state`.

        Returns:
            Whether it was still waiting, and will not run now.

        Raises:
            BackendIncapable: it does not wait here, and an engine that might have it cannot take it back.
            BackendUnavailable: an engine, which might have it, cannot be used at the moment.
        """
        here = [each for each in self._ledger.at_work() if self._ledger.is_called(each[1], task_id)]
        if any(state == "waiting" and collection.cancel(call) for collection, call, state, _ in here):
            return True
        if any(self._cancel_on(name, task_id) for name in self._able("cancel")):
            return True
        if not here and self._remembered(task_id) in {None, "accepted"}:
            self._refuse_without("cancel", task_id)
        return False

    def counts(self) -> Mapping[str, Counts]:
        """How much there is to do on each engine that can tell, by its name.

        Raises:
            BackendUnavailable: an engine cannot be used at the moment.
        """
        return {name: self._engines.of(name).counts() for name in self._able("counts")}

    def _cancel_on(self, backend: str, task_id: str) -> bool:
        is_cancelled = self._engines.of(backend).cancel(task_id)
        if is_cancelled:
            log.cancelled_on(backend, task_id)
        return is_cancelled

    def _remembered(self, task_id: str) -> State | None:
        return next((record.state for record in self.history() if record.task_id == task_id), None)

    def _refuse_without(self, need: Capability, task_id: str) -> None:
        unable = self._engines.backends.keys() - self._able(need)
        if unable:
            raise BackendIncapable(f"{incapable(sorted(unable), need)}, and the task {task_id!r} may be there")

    def _able(self, capability: Capability) -> list[str]:
        return [name for name, backend in self._engines.backends.items() if capability in backend.capabilities]
