"""The service that sends mail, after the response."""

import logging
from email.message import EmailMessage

import aiosmtplib
from ellar.di import injectable, singleton_scope

from bg_di import BackgroundTasks, Retry, background_task
from examples.signup.settings import MailSettings

logger = logging.getLogger("signup.audit")


def _is_temporary(error: Exception) -> bool:
    """Whether the mail server may take the mail later: its reply begins with a 4 (RFC 5321, 4.2.1)."""
    refused = error.recipients if isinstance(error, aiosmtplib.SMTPRecipientsRefused) else [error]
    return all(isinstance(each, aiosmtplib.SMTPResponseException) and 400 <= each.code < 500 for each in refused)


@injectable(scope=singleton_scope)
class Mailer:
    """Sends the mail of this application.

    There is one for the whole application. Its tasks are nevertheless those of the request in which it is
    called, whichever that is.
    """

    def __init__(self, settings: MailSettings, tasks: BackgroundTasks) -> None:
        self._settings = settings
        self._tasks = tasks

    def welcome(self, username: str, email: str) -> None:
        """Send the welcome mail as soon as the current request has been answered, and note the sign-up then."""
        self._tasks.add_task(Mailer.send_welcome, username, email)
        self._tasks.add_task(audit, username)

    @background_task(retry=Retry(on=_is_temporary, attempts=5))
    async def send_welcome(self, username: str, email: str) -> None:
        """Send the welcome mail now.

        Raises:
            aiosmtplib.SMTPException: the mail server does not take it.
        """
        message = EmailMessage()
        message["From"] = self._settings.sender
        message["To"] = email
        message["Subject"] = f"Welcome, {username}"
        message.set_content(f"Hello {username},\n\nyour account is ready. Nice to have you here.\n")
        await self._send(message)

    async def _send(self, message: EmailMessage) -> None:
        settings = self._settings
        await aiosmtplib.send(message, hostname=settings.host, port=settings.port, timeout=settings.timeout)


@background_task(when="always")
async def audit(username: str) -> None:
    """Note a sign-up, whatever became of its mail."""
    logger.warning("%s has signed up", username)
