"""What an engine has delivered, understood: the task that is called, with its arguments, where it was added."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from time import time
from typing import Any

from bg_di.backends import Backend, Delivery
from bg_di.calls.plan import Plan
from bg_di.calls.protocols import Collection, Container
from bg_di.errors import MessageMalformed, ModuleUnknown
from bg_di.handing_over.listed import ListedTask
from bg_di.handing_over.trace import continue_trace
from bg_di.values import seconds
from bg_di.wire import Envelope


class NotUnderstood(Exception):
    """Another version of this worker may run the task, which has waited for it so many seconds."""

    def __init__(self, waited: float, reason: str) -> None:
        super().__init__(reason)
        self.waited = waited


class Arrivals:
    """Makes plans of what one engine delivers to one application.

    Args:
        container: of the application.
        backend: of the engine.
        tasks: what may be run, by name.
        carried: the context variables that travel.
    """

    def __init__(
        self,
        container: Container,
        backend: Backend,
        tasks: Mapping[str, ListedTask],
        carried: Sequence[ContextVar[Any]],
    ) -> None:
        self._container = container
        self._backend = backend
        self._tasks = tasks
        self._carried = {variable.name: variable for variable in carried}

    def plan(self, delivery: Delivery, collection: Collection) -> Plan:
        """Plan a call that was delivered, in the context that it will run in.

        Args:
            delivery: from the engine.
            collection: of the delivery.

        Raises:
            NotUnderstood: others may know it, and there is time left for them.
            MessageMalformed: it is no message of a task here, or its arguments do not fit.
            MessageVersionUnknown: it was written by a later version.
        """
        envelope = Envelope.from_bytes(delivery.body, max_bytes=self._backend.max_message_bytes)
        if (envelope.task_id, envelope.name) != (delivery.task_id, delivery.name):
            raise MessageMalformed("it is the message of another task")
        task = self._tasks[delivery.name]
        for name in envelope.carried.keys() & self._carried.keys():
            self._carried[name].set(envelope.carried[name])
        continue_trace(envelope.trace)
        try:
            return self._planned(task, envelope, delivery, collection)
        except MessageMalformed as error:
            is_of_another = isinstance(error, ModuleUnknown) or envelope.shape not in {None, task.format.shape}
            waited = time() - _first_due(envelope, delivery)
            if is_of_another and waited < seconds(self._backend.unknown_after):
                raise NotUnderstood(waited, str(error)) from None
            raise

    def _planned(self, task: ListedTask, envelope: Envelope, delivery: Delivery, collection: Collection) -> Plan:
        args, kwargs = task.format.decode(envelope.arguments)
        declaration, injector = task.declaration, self._container.injector_of(envelope.module)
        self._container.enter(injector)
        policy = declaration.policy
        if envelope.timeout is not None:
            policy = policy.changed({"timeout": envelope.timeout})
        plan = Plan(
            declaration.name, policy, task.func, args, kwargs, declaration.service, task.needs, collection, injector
        )
        plan.reference.stand_for(envelope.task_id)
        plan.added_at, plan.delivery = envelope.added_at, delivery.delivery
        plan.due_at = _first_due(envelope, delivery)
        return plan


def _first_due(envelope: Envelope, delivery: Delivery) -> float:
    """When a delivered task was first to run; counted anew if it was put back after it had died."""
    was_put_back = delivery.added_at > envelope.added_at
    return delivery.added_at + (0 if was_put_back else envelope.delay or 0)
