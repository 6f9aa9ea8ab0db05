"""The service that sends mail, after the response."""

from email.message import EmailMessage

import aiosmtplib
from ellar.di import injectable, singleton_scope

from bg_di import BackgroundTasks
from examples.signup.settings import MailSettings


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
        """Send the welcome mail as soon as the current request has been answered."""
        self._tasks.add_task(self.send_welcome, username, email)

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
