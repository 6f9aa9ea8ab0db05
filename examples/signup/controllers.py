"""Sign-up by a controller."""

from ellar.common import Body, Controller, ControllerBase, post

from examples.signup.mailer import Mailer
from examples.signup.schemas import SignedUp, SignUp


@Controller("/accounts")  # pyright: ignore[reportCallIssue]
class AccountsController(ControllerBase):
    """Takes sign-ups. That the mail goes out later is the mailer's business, so nothing here says so."""

    def __init__(self, mailer: Mailer) -> None:
        self._mailer = mailer

    @post("/", response={201: SignedUp})
    async def sign_up(self, account: Body[SignUp]) -> SignedUp:
        """Answer at once; the welcome mail follows."""
        self._mailer.welcome(account.username, account.email)
        return SignedUp()
