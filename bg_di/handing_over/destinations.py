"""Which backend a task goes to; and what is handed over, if that is an engine."""

from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import Any, Final

from bg_di.backends import Backend, Capability, Message
from bg_di.backends.capabilities import ABLE, IN_PROCESS
from bg_di.calls.plan import Outgoing, Plan
from bg_di.declaring.policy import DEFAULT, Policy
from bg_di.errors import InvalidOptions
from bg_di.handing_over.listed import ListedTask
from bg_di.handing_over.trace import trace_here
from bg_di.values import seconds
from bg_di.wire import VERSION, Envelope, carry, fitting

# Seconds for which a unique key is not accepted again, if nothing else was said.
UNIQUE_FOR: Final = 24 * 3600.0


class Destinations:
    """The backends of one application, and what may go there.

    Args:
        backends: by name, `IN_PROCESS` among them.
        default: the name of the one that a task goes to if nothing else was said.
        application: under which its tasks are kept; only without engines may it be empty.
        carried: context variables that travel.

    Attributes:
        tasks: what workers of this application may run, by name; empty until the application is ready.
        stays: whether a task stays in the process if nothing else was said.
        carried: as given.
    """

    def __init__(
        self, backends: Mapping[str, Backend], *, default: str, application: str, carried: Sequence[ContextVar[Any]]
    ) -> None:
        self.tasks: Mapping[str, ListedTask] = {}
        self.stays = backends[default].runs_here
        self._backends = backends
        self._default = default
        self._application = application
        self.carried = carried

    @property
    def engines(self) -> Mapping[str, Backend]:
        """Those that tasks are handed over to."""
        return {name: backend for name, backend in self._backends.items() if not backend.runs_here}

    def list(self, tasks: Mapping[str, ListedTask]) -> None:
        """Take what workers of this application may run.

        Raises:
            InvalidOptions: a task wants a backend that nobody has configured, or that cannot do what it wants.
        """
        self.tasks = tasks
        for name, task in tasks.items():
            self.stays_here(name, task.declaration.policy, declared=True)

    def stays_here(self, name: str, policy: Policy, *, declared: bool) -> bool:
        """Whether a task runs in the process.

        Raises:
            InvalidOptions: nobody has configured its backend, or that cannot do what the policy wants.
            TypeError: it would go to an engine, and is not declared.
        """
        wanted = policy.backend or self._default
        backend = self._backends.get(wanted)
        if backend is None:
            raise InvalidOptions(
                f"{name} wants the backend {wanted!r}, which is not configured: the backends are "
                f"{_shown(self._backends)}; add it to the option 'backends'"
            )
        if policy is not DEFAULT:
            self._refuse_incapable(name, policy, wanted, backend)
        if not backend.runs_here and not declared:
            raise TypeError(
                f"add_task() cannot hand {name} over to the backend {wanted!r}: only declared tasks may leave the "
                f"process; put @background_task on it, or say tasks.using(backend={IN_PROCESS!r})"
            )
        return backend.runs_here

    def outgoing(self, plan: Plan, own: Mapping[str, Any], *, module: str | None) -> Outgoing:
        """What is handed over for a planned call.

        Args:
            plan: the call.
            own: the policy that this call has instead of what was declared.
            module: whose injector supplies what it needs; None for the root.

        Raises:
            InvalidOptions: a policy cannot travel.
            TypeError: the task is not listed, or an argument cannot travel.
        """
        backend = plan.policy.backend or self._default
        if "retry" in own:
            raise InvalidOptions(
                f"using(retry=...) cannot be kept for {plan.name} on the backend {backend!r}, where a worker goes by "
                "what was declared: put it into @background_task(retry=...)"
            )
        limit = self._backends[backend].max_message_bytes
        listed = self._listed(plan, backend)
        envelope = Envelope(
            task_id=plan.reference.task_id,
            application=self._application,
            name=plan.name,
            arguments=listed.format.encode(plan.args, plan.kwargs, max_bytes=limit),
            added_at=plan.added_at,
            module=module,
            trace=fitting(trace_here()),
            carried=carry(plan.name, self._carried_here(), max_bytes=limit),
            timeout=plan.policy.timeout_seconds if "timeout" in own else None,
            delay=_delay(plan.policy) or None,
            shape=listed.format.shape,
        )
        return Outgoing(backend, _message(plan, envelope.to_bytes(max_bytes=limit)))

    def _listed(self, plan: Plan, backend: str) -> ListedTask:
        listed = self.tasks.get(plan.name)
        if listed is None:
            raise TypeError(
                f"add_task() cannot hand {plan.name} over to the backend {backend!r}: no worker of this application "
                "would run it; add it, or the module that defines it, to the option 'tasks'"
            )
        if not listed.stands_for(plan.func, plan.service):
            raise TypeError(
                f"add_task() cannot hand {plan.name} over to the backend {backend!r}: a worker would run "
                f"{listed.where} instead, which the option 'tasks' lists by this name; add that one, or give this one "
                "another name"
            )
        return listed

    def _carried_here(self) -> dict[str, Any]:
        missing = object()
        values = {variable.name: variable.get(missing) for variable in self.carried}
        return {name: value for name, value in values.items() if value is not missing}

    def _refuse_incapable(self, name: str, policy: Policy, wanted: str, backend: Backend) -> None:
        for need in policy.needs:
            if need not in backend.capabilities:
                raise InvalidOptions(f"{name} wants a {need}, which the backend {wanted!r} {self._incapable(need)}")
        timeout = policy.timeout_seconds or 0
        if backend.longest is not None and timeout > seconds(backend.longest):
            raise InvalidOptions(
                f"{name} has a timeout of {timeout:g} seconds, and the backend {wanted!r} delivers a task again that "
                f"runs for {seconds(backend.longest):g}: shorten the timeout, or let the backend wait longer"
            )

    def _incapable(self, need: Capability) -> str:
        able = [name for name, backend in self._backends.items() if need in backend.capabilities]
        which = f"{_shown(able)} can" if able else f"none can: add {ABLE[need]}, which can"
        return f"cannot do; of the backends here, {which}"


def _message(plan: Plan, body: bytes) -> Message:
    policy, due_at = plan.policy, plan.added_at + _delay(plan.policy)
    unique_for = UNIQUE_FOR if policy.unique_for is None else seconds(policy.unique_for)
    return Message(
        task_id=plan.reference.task_id,
        name=plan.name,
        body=body,
        added_at=plan.added_at,
        due_at=due_at,
        version=VERSION,
        unique_key=policy.unique_key,
        unique_until=None if policy.unique_key is None else due_at + unique_for,
    )


def _delay(policy: Policy) -> float:
    return 0.0 if policy.delay is None else seconds(policy.delay)


def _shown(names: Any) -> str:
    return ", ".join(map(repr, names))
