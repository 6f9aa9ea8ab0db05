"""Everybody signs up at once."""

import asyncio
from collections.abc import Sequence

import httpx

from examples.signup.demo.people import Person
from examples.signup.demo.timeline import Answered, Timeline, Unanswered

ANSWERED_WITHIN = 30


async def sign_up_all(url: str, people: Sequence[Person], timeline: Timeline) -> None:
    """Sign up everybody, each on a connection of their own, and wait until all are answered."""
    async with (
        # A proxy that this machine may be set up for is not meant for its own loopback.
        httpx.AsyncClient(base_url=url, timeout=ANSWERED_WITHIN, trust_env=False) as client,
        asyncio.TaskGroup() as group,
    ):
        for person in people:
            group.create_task(_sign_up(client, person, timeline))


async def _sign_up(client: httpx.AsyncClient, person: Person, timeline: Timeline) -> None:
    try:
        response = await client.post(person.path, json={"username": person.name, "email": person.email})
    except httpx.HTTPError as error:
        timeline.add(Unanswered(email=person.email, reason=repr(error)))
    else:
        timeline.add(Answered(email=person.email, status=response.status_code))
