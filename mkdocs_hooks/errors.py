"""The errors, as they derive from each other."""

from collections.abc import Iterator

from bg_di import errors as module
from bg_di.errors import BackgroundTaskError


def error_tree() -> str:
    """A drawing of them."""
    return "```text\n" + "\n".join(_drawn(BackgroundTaskError, "", "")) + "\n```"


def children(error: type[BackgroundTaskError]) -> list[type[BackgroundTaskError]]:
    """Those that derive from one, in the order in which they are defined."""
    return [each for each in vars(module).values() if isinstance(each, type) and error in each.__bases__]


def _drawn(error: type[BackgroundTaskError], branch: str, below: str) -> Iterator[str]:
    yield branch + error.__name__
    own = children(error)
    for child in own:
        is_last = child is own[-1]
        yield from _drawn(child, below + ("└── " if is_last else "├── "), below + ("    " if is_last else "│   "))
