"""What a consumer has in hand, and what it has ended."""

from dataclasses import replace
from typing import Any

import pytest

from bg_di.backends.rabbitmq import in_hand
from bg_di.backends.rabbitmq.in_hand import Held, InHand
from bg_di.backends.rabbitmq.parcel import Parcel
from bg_di.testing.contract.handles import message

# What a broker has delivered is only kept here.
DELIVERED: Any = object()


def taken(hand: InHand, parcel: Parcel) -> Held:
    held = hand.take(parcel, DELIVERED)
    assert held is not None
    return held


def test_the_last_ones_that_have_ended_are_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only so many."""
    monkeypatch.setattr(in_hand, "_REMEMBERED", 2)
    hand = InHand()
    parcels = [Parcel.of(message()) for _ in range(3)]
    for parcel in parcels:
        assert hand.end(taken(hand, parcel)) == [DELIVERED]
    assert [hand.has_ended(parcel) for parcel in parcels] == [False, True, True]


def test_what_takes_the_place_of_a_task_is_one_copy_however_often_it_is_tried() -> None:
    """So that it is known again if the broker has got it before; also where it is dead."""
    held = taken(InHand(), Parcel.of(message()))
    successor = held.successor
    assert successor == held.successor == replace(held.parcel, copy=successor.copy)
    assert successor.copy != held.parcel.copy
    assert {held.successor.died(reason="no").copy for _ in range(2)} == {successor.copy}
