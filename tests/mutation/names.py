"""What a test is called from one process to the next: the ids of some have what is another each time."""

from collections import Counter
from collections.abc import Iterable

import pytest

_NAME = pytest.StashKey[str]()


def name_all(items: Iterable[pytest.Item]) -> None:
    """Number all tests that one function makes. It is to be told all of them, before any is left out."""
    numbers: Counter[str] = Counter()
    for item in items:
        function = item.nodeid.partition("[")[0]
        item.stash[_NAME] = f"{function}#{numbers[function]}"
        numbers[function] += 1


def name_of(item: pytest.Item) -> str:
    return item.stash[_NAME]
