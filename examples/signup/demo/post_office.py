"""A mail server that cannot be too early.

It holds each mail until something has happened: that the sign-up which it is for has been answered, for example. So an
application that sends the mail before the response, or that keeps the response until the mail is gone, gets nowhere:
the order that the demo shows cannot be an accident.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from functools import partial

from aiosmtpd.smtp import SMTP, Envelope, Session

from examples.signup.demo.people import Person
from examples.signup.demo.timeline import (
    Answered,
    CutOff,
    HeldInVain,
    Mailed,
    Moment,
    PutOff,
    Refused,
    Timeline,
    Tried,
)

# Whether mail for an address may be taken, after these moments.
Gate = Callable[[str, Sequence[Moment]], bool]


def is_answered(address: str, moments: Sequence[Moment]) -> bool:
    """Whether the sign-up that a mail is for has been answered."""
    return any(isinstance(moment, Answered) and moment.email == address for moment in moments)


class PostOffice:
    """What the mail server does with mail, as a handler of aiosmtpd.

    Args:
        people: whose mail it refuses or puts off.
        timeline: tells it what happens, and is told what becomes of the mail.
        gate: what it waits for.
        patience: seconds for which it holds a mail; None: until it need not any more.
    """

    def __init__(
        self, people: Sequence[Person], timeline: Timeline, *, gate: Gate = is_answered, patience: float | None
    ) -> None:
        self._refused = {person.email for person in people if person.refused}
        self._busy = {person.email for person in people if person.busy}
        self._timeline = timeline
        self._gate = gate
        self._patience = patience

    async def handle_RCPT(  # noqa: N802
        self, _server: SMTP, _session: Session, envelope: Envelope, address: str, _options: list[str]
    ) -> str:
        """Who is it for? Say nothing before the gate is open."""
        self._timeline.add(Tried(email=address))
        try:
            is_open = await self._timeline.until(partial(self._gate, address), timeout=self._patience)
        except asyncio.CancelledError:
            self._timeline.add(CutOff(email=address))
            raise
        if not is_open:
            self._timeline.add(HeldInVain(email=address))
            return "451 4.3.0 the sign-up has not been answered"
        if address in self._busy:
            self._busy.remove(address)
            reply = "421 4.3.2 busy, try again later"
            self._timeline.add(PutOff(email=address, reply=reply))
            return reply
        if address in self._refused:
            reply = "550 5.1.1 no such mailbox"
            self._timeline.add(Refused(email=address, reply=reply))
            return reply
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _server: SMTP, _session: Session, envelope: Envelope) -> str:  # noqa: N802
        """Put the mail into the mailbox of each recipient."""
        assert isinstance(envelope.content, bytes), "the server has been told not to decode"
        message = message_from_bytes(envelope.content, EmailMessage, policy=policy.default)
        # Mail travels with the line ends of SMTP.
        body = message.get_content().replace("\r\n", "\n")
        for address in envelope.rcpt_tos:
            self._timeline.add(Mailed(email=address, to=message["To"], subject=message["Subject"], body=body))
        return "250 OK"


@asynccontextmanager
async def mail_server(post_office: PostOffice) -> AsyncIterator[int]:
    """Run a mail server on a free port of this machine, and give the port."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: SMTP(post_office, hostname="localhost", loop=loop), "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]
