"""What an owner has in hand, as the database thread knows it.

It is noted there, after the commit and before anything else is done: noted in the event loop, which hears of it later,
what has ended would be taken for lost meanwhile.
"""

from collections.abc import Iterable, Sequence

from bg_di.backends.messages import Delivery


class Receipt:
    """Of somebody who asked for deliveries.

    Attributes:
        given_up: he has gone before he heard of them. Set in the event loop.
    """

    __slots__ = ("given_up",)

    def __init__(self) -> None:
        self.given_up = False


class InHand:
    """The deliveries that somebody has been given and that have not ended."""

    def __init__(self) -> None:
        self._held: dict[tuple[str, int], tuple[Delivery, Receipt]] = {}

    def take(self, receipt: Receipt, deliveries: Iterable[Delivery]) -> None:
        """Somebody is given deliveries."""
        for delivery in deliveries:
            self._held[delivery.task_id, delivery.token] = delivery, receipt

    def drop(self, delivery: Delivery) -> None:
        """It has ended, or is lost."""
        self._held.pop((delivery.task_id, delivery.token), None)

    def held(self) -> Sequence[Delivery]:
        """What somebody really has."""
        return [delivery for delivery, receipt in self._held.values() if not receipt.given_up]

    def sort_out(self) -> None:
        """Drop what nobody has heard of."""
        self._held = {key: held for key, held in self._held.items() if not held[1].given_up}
