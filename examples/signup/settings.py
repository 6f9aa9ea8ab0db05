"""What the application has to be told."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Self


@dataclass(frozen=True, slots=True, kw_only=True)
class MailSettings:
    """Where mail is handed in, and who it is from.

    Attributes:
        host, port: of the SMTP server.
        sender: the address that mail is from.
        timeout: seconds that the server may take for each answer.
    """

    host: str
    port: int
    sender: str = "welcome@signup.example"
    timeout: float = 30

    @classmethod
    def from_environment(cls) -> Self:
        """Read ``SIGNUP_SMTP_HOST`` and ``SIGNUP_SMTP_PORT``; by default it is port 25 of this machine."""
        return cls(
            host=os.environ.get("SIGNUP_SMTP_HOST", "127.0.0.1"),
            port=int(os.environ.get("SIGNUP_SMTP_PORT", "25")),
        )


def tasks_file() -> Path:
    """The file that keeps tasks, where they are durable: ``SIGNUP_TASKS``; by default it is in the current folder."""
    return Path(os.environ.get("SIGNUP_TASKS", "signup-tasks.db"))
