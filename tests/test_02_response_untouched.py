"""Promise 2: status, headers, cookies, body and OpenAPI are those of the same route without its tasks."""

from typing import Any

import pytest
from ellar.openapi import OpenAPIDocumentBuilder
from starlette.background import BackgroundTasks

from tests import results
from tests.harness import Client, application, request


async def nothing(*_: Any) -> None: ...


def add(tasks: BackgroundTasks) -> None:
    tasks.add_task(nothing, 1)


def seen(client: Client) -> tuple[Any, ...]:
    assert client.error is None
    return client.status, client.headers, client.body


@pytest.mark.parametrize("kind", results.KINDS)
async def test_the_response_is_that_of_the_same_route_without_tasks(kind: str) -> None:
    """Compared to the route without its parameter, in an application without the module."""
    here = results.DOCUMENT.parent
    bare = application(results.route(kind), tasks=None, base_directory=here)
    with_module = application(results.route(kind), base_directory=here)
    with_tasks = application(results.route(kind, add), base_directory=here)
    expected = seen(await request(bare, "/"))
    assert seen(await request(with_module, "/")) == expected
    assert seen(await request(with_tasks, "/")) == expected


@pytest.mark.parametrize("status", [201, 202, 204])
async def test_a_declared_status_stays(status: int) -> None:
    """Ellar's built-in feature turns it into a 200."""
    assert (await request(application(results.route(f"declared {status}", add)), "/")).status == status


@pytest.mark.parametrize("range_header", ["bytes=0-4", "bytes=0-4,8-9", "bytes=99999999-", "lines=1-2"])
async def test_ranges_of_a_file_are_answered_alike(range_header: str) -> None:
    """One range, several, none that can be satisfied, a malformed one."""
    answers = []
    for app in (application(results.route("file"), tasks=None), application(results.route("file", add))):
        client = await request(app, "/", headers=[("range", range_header)])
        headers = [(k, v) for k, v in client.headers if not v.startswith("multipart/byteranges")]
        body = client.body if client.status != 206 or "," not in range_header else b""
        answers.append((client.status, headers, body))
    assert answers[0] == answers[1]


@pytest.mark.parametrize("kind", results.KINDS)
def test_openapi_is_that_of_the_same_route_without_tasks(kind: str) -> None:
    """The parameter is no part of the interface."""

    def document(*route: Any, **options: Any) -> dict[str, Any]:
        app = application(results.route(*route), base_directory=results.DOCUMENT.parent, **options)
        return OpenAPIDocumentBuilder().build_document(app).model_dump(exclude_none=True)

    assert document(kind, add) == document(kind, tasks=None)
