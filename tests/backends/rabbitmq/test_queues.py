"""The queues of an application, and which of them a task goes to."""

import time

import pytest

from bg_di.backends.rabbitmq.queues import DELAYS, Queues


@pytest.mark.parametrize(
    ("seconds", "milliseconds"), [(0.01, 250), (0.25, 250), (0.49, 250), (0.5, 500), (3, 2000), (1e9, DELAYS[-1])]
)
def test_a_task_spends_no_more_time_than_it_has(seconds: float, milliseconds: int) -> None:
    """Less than a quarter of a second is one."""
    assert Queues("shop").delay(seconds).name == f"bg_di.delay.{milliseconds}.shop"


def test_there_are_only_so_many() -> None:
    """However long tasks wait; RabbitMQ takes no longer one."""
    assert len(Queues("shop").delays()) == len(DELAYS) == 25
    assert DELAYS[-1] < 2**32 <= 2 * DELAYS[-1]


def test_what_is_due_goes_to_the_others() -> None:
    """What is not passes the time first."""
    queues, now = Queues("shop"), time.time()
    assert queues.until(now).name == queues.tasks.name
    assert queues.until(now + 10).name == "bg_di.delay.8000.shop"


def test_no_name_of_an_application_makes_one_queue_of_two() -> None:
    """Whatever is in it."""
    names = ["shop", "dead.shop", "tasks.shop", "shop.dead", "delay.250.shop", "250.shop"]
    every = [queue.name for name in names for queue in (Queues(name).tasks, Queues(name).dead, *Queues(name).delays())]
    assert len(every) == len(set(every))
