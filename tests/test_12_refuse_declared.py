"""Promise 12 of bad input: what is wrong about a declared task is refused at its declaration or at `add_task`."""

import sys
from collections.abc import AsyncGenerator, Generator
from datetime import timedelta
from functools import partial
from typing import Any, cast

import pytest
from ellar.common import Inject, get

from bg_di import INJECTED, BackgroundTasks, BackgroundTasksUnavailable, Retry, TaskContext, background_task
from bg_di.errors import InvalidOptions
from bg_di.testing import RecordingBackgroundTasks
from tests.harness import application, request
from tests.test_08_dependencies import Clerk
from tests.test_08_service_tasks import Mailer, adding


async def task() -> None: ...


def sync_task() -> None: ...


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        ({"when": "sometimes"}, "when='sometimes'): give one of 'success', 'failure', 'always'"),
        ({"timeout": -1}, "timeout=-1"),
        ({"timeout": 0}, "timeout=0"),
        ({"timeout": float("nan")}, "timeout=nan"),
        ({"timeout": float("inf")}, "timeout=inf"),
        ({"timeout": True}, "timeout=True"),
        ({"timeout": "3"}, "timeout='3'"),
        ({"timeout": timedelta(0)}, "timeout=datetime.timedelta(0)"),
        ({"retry": 3}, "retry=3"),
        ({"backend": 3}, "backend=3): give text"),
        ({"delay": -1}, "delay=-1"),
        ({"delay": timedelta(days=366, seconds=1)}, "seconds=1)): give at most 366 days"),
        ({"delay": 0, "backend": "in_process"}, "delay=0): what runs in the process runs at once"),
    ],
    ids=str,
)
def test_a_wrong_policy_is_refused_where_it_is_declared(policy: dict[str, Any], named: str) -> None:
    """Naming key and value."""
    with pytest.raises(InvalidOptions) as refused:
        background_task(**policy)
    assert str(refused.value).startswith(f"background_task({next(iter(policy))}=")
    assert named in str(refused.value)


def test_a_policy_that_there_is_not_is_refused() -> None:
    """Saying which there are."""
    said = r"no policy 'attempts' \(given 3\); the policies are when, timeout, retry, backend, delay$"
    with pytest.raises(InvalidOptions, match=said):
        background_task(attempts=3)  # type: ignore[call-overload]


def test_the_longest_delay_is_accepted() -> None:
    """On whatever engine it will be."""
    background_task(delay=timedelta(days=366))(task)


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"on": int}, "on=<class 'int'>"),
        ({"on": ()}, "on=()"),
        ({"on": (OSError, 3)}, "on=(<class 'OSError'>, 3)"),
        ({"on": "OSError"}, "on='OSError'"),
        ({"on": BaseException}, "on=<class 'BaseException'>"),
        ({"attempts": 0}, "attempts=0"),
        ({"attempts": 1.5}, "attempts=1.5"),
        ({"timeout": 0}, "timeout=0"),
        ({"wait_initial": -1}, "wait_initial=-1"),
        ({"wait_max": "5"}, "wait_max='5'"),
        ({"wait_jitter": float("nan")}, "wait_jitter=nan"),
        ({"wait_exp_base": 0}, "wait_exp_base=0"),
    ],
    ids=str,
)
def test_a_wrong_retry_is_refused(options: dict[str, Any], named: str) -> None:
    """Naming key and value."""
    with pytest.raises(InvalidOptions) as refused:
        Retry(**{"on": OSError, **options})
    assert f"Retry({named})" in str(refused.value)


def test_a_retry_without_limits_is_accepted() -> None:
    """Attempts, and the time over all of them."""
    retry = Retry(on=(OSError, ValueError), attempts=None, timeout=None, wait_initial=timedelta(seconds=1))
    assert retry.attempts is None


def test_without_stamina_a_retry_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is an extra."""
    monkeypatch.setitem(sys.modules, "stamina", None)
    with pytest.raises(InvalidOptions, match=r"pip install 'bg_di\[retry\]'"):
        Retry(on=OSError)


def test_what_is_not_a_function_is_refused() -> None:
    """At the declaration, naming what it is."""
    with pytest.raises(TypeError, match="not 'int'"):
        background_task(3)  # type: ignore[call-overload]


def test_generator_functions_are_refused() -> None:
    """Nobody would iterate them."""

    def generator() -> Generator[None]:
        yield

    async def async_generator() -> AsyncGenerator[None]:
        yield

    for func in (generator, async_generator):
        with pytest.raises(TypeError, match="nobody would iterate it"):
            background_task(func)


def test_a_timeout_of_a_sync_function_is_refused() -> None:
    """A thread cannot be stopped."""
    with pytest.raises(InvalidOptions, match=r"timeout=3 cannot be kept for .*sync_task"):
        background_task(timeout=3)(sync_task)


async def refused_by(
    func: Any, *args: Any, policy: Any = None, error: type[Exception] = TypeError, **kwargs: Any
) -> str:
    """What `add_task` says of a call."""
    said: list[str] = []

    def add(tasks: BackgroundTasks) -> None:
        with pytest.raises(error) as refused:
            (tasks if policy is None else tasks.using(**policy)).add_task(func, *args, **kwargs)
        said.append(str(refused.value))

    await request(application(adding(add), services=[Clerk]), "/")
    [message] = said
    return message


async def test_using_refuses_as_a_declaration_does() -> None:
    """A wrong value at once, what the function cannot keep at `add_task`."""
    assert "timeout=0" in await refused_by(task, policy={"timeout": 0}, error=InvalidOptions)
    said = await refused_by(sync_task, policy={"timeout": 3}, error=InvalidOptions)
    assert "sync_task: it is a sync function" in said


async def test_wrong_arguments_are_refused_with_the_signature() -> None:
    """For methods without ``self``, and without what is injected."""

    @background_task
    async def needs(address: str, clerk: Inject[Clerk] = INJECTED) -> None: ...

    assert "missing 1 required positional argument: 'address'" in await refused_by(Mailer.send)
    assert "Mailer.send(address: str, *, subject: str = 'hello')" in await refused_by(Mailer.send, "a", "b")
    assert "missing a required argument: 'address'" in await refused_by(Mailer.send_sync, to="x")
    assert "missing 1 required positional argument: 'address'" in await refused_by(needs)


async def test_an_injected_parameter_must_have_a_name() -> None:
    """``Inject[T]`` on ``*args``, ``**kwargs`` and positional-only parameters is refused."""

    @background_task
    async def many(*clerks: Inject[Clerk]) -> None: ...

    @background_task
    async def positional(clerk: Inject[Clerk], /) -> None: ...

    for func in (many, positional):
        assert "the container fills parameters by name" in await refused_by(func)


async def test_an_annotation_that_cannot_be_read_is_refused() -> None:
    """If it is about ``Inject``; whether a name is unknown or not bound yet."""

    @background_task
    async def unknown(clerk: "Inject[Nowhere]" = INJECTED) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert "the annotation 'Inject[Nowhere]' of 'clerk' cannot be read" in await refused_by(unknown)

    @background_task
    async def unbound(clerk: "Inject[Later]" = INJECTED) -> None:  # type: ignore[valid-type]
        print(Later)

    assert "'clerk' cannot be read" in await refused_by(unbound)
    Later = Clerk


def test_a_collection_that_is_built_by_hand_refuses_what_needs_a_container() -> None:
    """Methods of services, and policies; a declared function is a function."""
    tasks = BackgroundTasks()
    tasks.add_task(background_task(task))
    with pytest.raises(BackgroundTasksUnavailable, match=r"Mailer\.send is a method of a service"):
        tasks.add_task(Mailer.send, "ada")
    with pytest.raises(BackgroundTasksUnavailable, match="without policies"):
        tasks.using(when="always").add_task(task)


async def test_the_recording_fake_takes_what_the_real_one_takes() -> None:
    """Methods of services without ``self``, injected parameters, policies; and refuses the same."""
    tasks = RecordingBackgroundTasks()
    tasks.add_task(Mailer.send, "ada")
    tasks.using(when="always").add_task(Mailer.send, "grace")
    assert len(tasks.all(Mailer.send)) == 2
    tasks.one(Mailer.send, address="grace")
    with pytest.raises(BackgroundTasksUnavailable, match="needs its service of a container"):
        await tasks.drain()
    with pytest.raises(TypeError, match="missing 1 required positional argument"):
        tasks.add_task(Mailer.send)  # type: ignore[call-overload]


@background_task
async def send_with(address: str, mailer: Inject[Mailer] = INJECTED) -> None:
    raise AssertionError("never runs")


def test_the_recording_fake_takes_the_partials_that_the_real_one_takes() -> None:
    """Of a declared task they are that task, with what the container supplies; and wrong ones are refused."""
    tasks, send = RecordingBackgroundTasks(), cast(Any, Mailer.send)
    funcs: list[Any] = [partial(send_with, "ada"), partial(send, "ada")]
    for func in funcs:
        tasks.add_task(func)
        tasks.one(func)
        with pytest.raises(TypeError, match=r"add_task\(\) cannot call"):
            tasks.add_task(func, "grace", "joan")


async def undeclared(mailer: Any = INJECTED) -> None:
    raise AssertionError("never runs")


class Undeclared:
    async def send(self, *, mailer: Any = INJECTED) -> None:
        raise AssertionError("never runs")


@pytest.mark.parametrize("func", [undeclared, partial(undeclared), Undeclared().send])
async def test_what_is_to_be_injected_without_a_declaration_is_refused(func: Any) -> None:
    """Nobody would put anything in the place of INJECTED; also by the fake, and however often it is added."""
    refusals: list[str] = []

    @get("/")
    async def handler(tasks: BackgroundTasks) -> None:
        for _ in range(2):
            with pytest.raises(TypeError) as refusal:
                tasks.add_task(func)
            refusals.append(str(refusal.value))

    await request(application(handler), "/")
    with pytest.raises(TypeError) as refusal:
        RecordingBackgroundTasks().add_task(func)
    refusals.append(str(refusal.value))
    assert len(refusals) == 3
    for text in refusals:
        assert text.startswith(f"add_task() cannot run {__name__}:")
        assert text.endswith(
            "it has INJECTED as a default, which only a declared task is given something for; "
            "put @background_task on it"
        )


async def test_how_the_container_is_asked_is_not_shown() -> None:
    """It would be an object at some address in memory."""

    @background_task(name="audit")
    async def audit(what: str, context: Inject[TaskContext] = INJECTED) -> None: ...

    tasks = RecordingBackgroundTasks()
    with pytest.raises(TypeError, match=r"cannot call audit\(what: str, context=INJECTED\)"):
        cast(Any, tasks).add_task(audit)
    with pytest.raises(TypeError, match=r"no call of audit\(what: str, context=INJECTED\) .* 'waht'"):
        tasks.one(audit, waht="x")
