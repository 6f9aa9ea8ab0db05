"""The frameworks that are asked, and what they do not have."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A framework.

    Attributes:
        name: of its application and of its environment.
        title: as it is called.
        package: whose version counts.
        way: how tasks are added, as its documentation has it.
        without: the questions that it cannot be asked, and why: what was looked at.
        has_fakes: whether its application has an override to try.
        durable: the name of its application whose tasks outlive the process, if it has that.
    """

    name: str
    title: str
    package: str
    way: str
    without: Mapping[str, str] = field(default_factory=dict)
    has_fakes: bool = False
    durable: str | None = None


_PART_OF_RESPONSE = "Tasks are an argument of the response, so there is one place for them, and nothing to collide."
_SHARED = "Tasks are an argument of the response: one that has some is made anew for each request."
_NOT_IN_SERVICE = "Its documentation and `background_tasks.py` know no collection of a request that a service could get"
_NO_DEPENDENCIES = "A task is called with the arguments that it was given; nothing supplies others."
_WITHOUT_RESPONSE = "Tasks come with the response that is returned: where there is none, none were added."
_NO_COLLECTION = "There is no collection that could be replaced in a test."

PEERS = (
    Peer(
        name="bg_di",
        title="bg_di",
        package="bg_di",
        way="ask for `BackgroundTasks` by type, anywhere; `add_task`",
        has_fakes=True,
        durable="bg_di_durable",
    ),
    Peer(
        name="ellar",
        title="Ellar",
        package="ellar",
        way="a handler's parameter of type `BackgroundTasks`; `add_task`",
        without={"dependencies": _NO_DEPENDENCIES},
        has_fakes=True,
    ),
    Peer(
        name="starlette",
        title="Starlette",
        package="starlette",
        way="`Response(…, background=…)`",
        without={
            "own-and-injected": _PART_OF_RESPONSE,
            "shared-response": _SHARED,
            "service": "It has no dependency injection: a service returns tasks to the handler, or is given a list.",
            "singleton": "It has no dependency injection.",
            "web-socket": "`WebSocketEndpoint` and `WebSocketRoute` have no response, and nothing else takes tasks.",
            "dependencies": _NO_DEPENDENCIES,
            "handler-raises": _WITHOUT_RESPONSE,
            "fakes": _NO_COLLECTION,
        },
    ),
    Peer(
        name="fastapi",
        title="FastAPI",
        package="fastapi",
        way="a parameter of type `BackgroundTasks` of a handler or dependency; `add_task`",
        without={
            "singleton": "Dependencies are built for each request; none lives as long as the application.",
            "dependencies": _NO_DEPENDENCIES,
        },
        has_fakes=True,
    ),
    Peer(
        name="litestar",
        title="Litestar",
        package="litestar",
        way="`Response(…, background=…)`",
        without={
            "own-and-injected": _PART_OF_RESPONSE,
            "shared-response": _SHARED,
            "service": f"{_NOT_IN_SERVICE}: it returns its tasks to the handler.",
            "singleton": f"{_NOT_IN_SERVICE}.",
            "guard": "A guard gets the connection and the handler, and can only raise.",
            "web-socket": "WebSocket handlers have no response, and nothing else takes tasks.",
            "dependencies": _NO_DEPENDENCIES,
            "handler-raises": _WITHOUT_RESPONSE,
            "fakes": _NO_COLLECTION,
        },
    ),
    Peer(
        name="blacksheep",
        title="BlackSheep",
        package="blacksheep",
        way="`asyncio.create_task(…)`, anywhere",
        without={
            "own-and-injected": "A response takes no tasks.",
            "dependencies": "A coroutine has all its arguments when it is made; nothing supplies others.",
            "fakes": _NO_COLLECTION,
        },
    ),
)
