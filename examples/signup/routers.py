"""Sign-up by a function route that sets the background of its response itself.

Ellar's documentation shows this way. It goes on working beside the collected tasks: what a response brings
along runs first, what was collected in the request after it.
"""

from ellar.common import Body, Inject, ModuleRouter, Response
from starlette.background import BackgroundTask

from examples.signup.mailer import Mailer
from examples.signup.schemas import SignedUp, SignUp

router = ModuleRouter("/background-test")


@router.post("/signup", response=SignedUp)
async def sign_up(account: Body[SignUp], res: Response, mailer: Inject[Mailer]) -> SignedUp:
    """Answer at once; the response brings the welcome mail along."""
    res.background = BackgroundTask(mailer.send_welcome, account.username, account.email)
    return SignedUp()
