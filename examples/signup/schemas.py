"""What goes in and out over HTTP."""

from typing import Annotated

from ellar.common import Serializer
from pydantic import Field


class SignUp(Serializer):
    """Who wants an account. Nothing of it can break out of a line of a mail's header."""

    username: Annotated[str, Field(pattern=r"^[\w .'-]{1,60}$")]
    email: Annotated[str, Field(pattern=r"^[^@\s<>,;]+@[^@\s<>,;]+$", max_length=254)]


class SignedUp(Serializer):
    """The answer."""

    status: str = "signed up"
