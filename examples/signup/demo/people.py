"""Who signs up."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who signs up.

    Attributes:
        path: where.
        refused: whether the mail server does not take mail for the address.
    """

    name: str
    path: str
    refused: bool = False

    @property
    def email(self) -> str:
        """The address."""
        return f"{self.name.lower()}@example.org"


def _by_controller(*names: str) -> list[Person]:
    return [Person(name=name, path="/accounts/") for name in names]


def _by_router(*names: str) -> list[Person]:
    return [Person(name=name, path="/background-test/signup") for name in names]


PEOPLE = (
    *_by_controller("Ada", "Alan", "Barbara", "Donald", "Frances", "Grace", "Hedy"),
    Person(name="Edsger", path="/accounts/", refused=True),
    *_by_controller("Jean", "Katherine", "Ken", "Margaret", "Niklaus", "Radia", "Shafi"),
    *_by_router("Anita", "Dennis", "Karen", "Sophie", "Tony"),
)
