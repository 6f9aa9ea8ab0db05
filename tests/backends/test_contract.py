"""The suite for backends asks of each what it claims, and nothing else."""

import asyncio
import subprocess
import sys
from typing import Any, ClassVar

import pytest

from bg_di.backends import Backend, Capability
from bg_di.testing import BackendContract
from tests.backends.memory import MemoryBackend


class Modest(Backend):
    capabilities: ClassVar[frozenset[Capability]] = frozenset({"listing"})


class TestMemoryBackend(BackendContract):
    """It is no suite for files only."""

    backend_type = MemoryBackend

    @pytest.fixture
    def backend(self) -> Backend:
        return MemoryBackend()


def promises_of(contract: type[Any]) -> set[str]:
    return {name for name in dir(contract) if name.startswith("test_") and callable(getattr(contract, name))}


def test_what_a_backend_does_not_claim_is_not_collected() -> None:
    """A test that is skipped would be a promise that nobody has looked at."""

    class OfModest(BackendContract):
        backend_type = Modest

    assert promises_of(BackendContract) - promises_of(OfModest) == {
        "test_what_is_delayed_is_not_delivered_before",
        "test_the_same_task_twice_is_one",
        "test_a_key_is_one_tasks_until_its_time",
        "test_a_key_that_has_run_out_or_whose_task_is_dead_is_free",
        "test_what_another_task_stands_for_can_be_asked_for",
        "test_what_waits_can_be_cancelled",
        "test_what_is_dead_can_be_put_back",
        "test_what_is_dead_can_be_forgotten",
        "test_what_is_done_can_be_forgotten",
        "test_tasks_are_counted",
    }
    assert "test_tasks_are_listed" in promises_of(OfModest)


def test_a_backend_that_never_answers_fails_in_time() -> None:
    """And the suite goes on."""

    class Silent(BackendContract):
        backend_type = Modest
        patience = 0.01

    class Never:
        def open(self, application: str) -> object:
            return self

        async def accept(self, messages: object) -> None:
            await asyncio.Event().wait()

        async def close(self) -> None:
            pass

    never: Any = Never()
    with pytest.raises(TimeoutError):
        Silent().test_nothing_is_accepted_of_nothing(never)


def test_the_fakes_do_not_need_pytest() -> None:
    """Whoever uses them may run tests with something else."""
    code = "import sys; sys.modules['pytest'] = None; import bg_di.testing"
    subprocess.run([sys.executable, "-W", "ignore", "-c", code], check=True)
