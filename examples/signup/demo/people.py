"""Who signs up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signs up.

    Attributes:
        path: where.
        refused: whether the mail server does not take mail for the address.
        busy: whether it is busy at first, and takes that mail when it is tried again.
    """

    name: str
    path: str
    refused: bool = False
    busy: bool = False

    @property
    def is_audited(self) -> bool:
        """Whether the application notes the sign-up: the function route does not."""
        return self.path == "/accounts/"

    @property
    def email(self) -> str:
        """The address."""
        return f"{self.name.lower()}@example.org"


def _by_controller(*names: str) -> list[Person]:
    return [Person(name=name, path="/accounts/") for name in names]


def _by_router(*names: str) -> list[Person]:
    return [Person(name=name, path="/background-test/signup") for name in names]


PEOPLE = (
    *_by_controller("Ada", "Alan", "Barbara", "Donald", "Frances", "Grace"),
    Person(name="Hedy", path="/accounts/", busy=True),
    Person(name="Edsger", path="/accounts/", refused=True),
    *_by_controller("Jean", "Katherine", "Ken", "Margaret", "Niklaus", "Radia", "Shafi"),
    *_by_router("Anita", "Dennis", "Karen", "Sophie", "Tony"),
)

# Those whose mail is a collected task. That of the others is their response's own, and never leaves the process.
BY_CONTROLLER = tuple(person for person in PEOPLE if person.path == "/accounts/")
