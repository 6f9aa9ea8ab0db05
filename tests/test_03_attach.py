"""Promise 2: the response is untouched, whatever the handler returns."""

from ellar.common import get
from starlette.background import BackgroundTasks

from tests.harness import Client, application


async def test_a_dict_is_answered_and_the_task_runs_after_the_last_byte() -> None:
    """The everyday case."""
    client = Client()

    async def task(name: str) -> None:
        client.timeline.append(name)

    @get("/")
    async def handler(tasks: BackgroundTasks) -> dict[str, bool]:
        tasks.add_task(task, "task")
        return {"ok": True}

    await client.request(application(handler), "/")
    assert client.timeline == ["start", "last byte", "task"]
