"""What becomes of the background tasks of one request: the contract, short enough to be read."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field

from tests.properties.script import Call, Ending, Leaving, Place, Script, attempted, numbered

MIDDLEWARE = (
    Place.ASGI_MIDDLEWARE,
    Place.FUNCTION_MIDDLEWARE,
    Place.APPLICATION_MIDDLEWARE,
    Place.MODULE_MIDDLEWARE,
)
UP_TO_THE_HANDLER = (
    Place.INTERCEPTOR,
    Place.CONSTRUCTOR,
    Place.SINGLETON,
    Place.TRANSIENT,
    Place.SCOPED,
    Place.HANDLER,
)


@dataclass
class Prediction:
    """What happens to the tasks of a request.

    Attributes:
        timeline: what runs, in order, and ``"stack left"`` in between. All of it comes after the last byte.
        ended: which task ends in which state, in order.
    """

    timeline: list[str] = field(default_factory=list)
    ended: list[tuple[str, str]] = field(default_factory=list)


def predict(script: Script, client: Leaving, *, run_after: str, on_error: str) -> Prediction:
    """Follow a request through its code."""
    ending, mounted = script.ending, script.handler == "mounted"
    cut = client.stops(script.messages)
    answers = ending in (Ending.RETURNS, Ending.RAISES_RESCUED)
    # A client that leaves is no failure.
    failed = ending in (Ending.RAISES, Ending.RAISES_HANDLED) or (ending is Ending.BREAKS and not cut)

    seen = Prediction()
    tasks = _Collection(seen, stop=on_error == "stop")
    tasks.add_at(script, *MIDDLEWARE, Place.MOUNTED if mounted else Place.GUARD)
    if not mounted and ending is not Ending.REFUSED:
        tasks.add_at(script, *UP_TO_THE_HANDLER, failed=failed)
        gives_result = ending in (Ending.RETURNS, Ending.BREAKS) and not (cut and script.result == "sent by hand")
        if gives_result or ending is Ending.RAISES_RESCUED:
            tasks.add_at(script, Place.AFTER_HANDLER, failed=failed)
        if gives_result and script.result == "stream" and not client.stops(1):
            tasks.add_at(script, Place.STREAM, failed=failed)
    if answers and not cut:
        if script.own is not None and ending is Ending.RETURNS:
            # The response's own background runs first, with all that it adds, whatever comes of it.
            own = _Collection(seen, stop=on_error == "stop")
            own.add([(script.own, "own")])
            own.drain()
        if run_after == "response" and not mounted:
            tasks.drain()
        tasks.add_at(script, Place.AFTER_MODULE, Place.AFTER_APPLICATION)
    if ending is Ending.RAISES_HANDLED:
        tasks.add_at(script, Place.EXCEPTION_HANDLER)
    if not cut and ending not in (Ending.RAISES, Ending.BREAKS):
        tasks.add_at(script, Place.AFTER_ASGI)
    seen.timeline.append("stack left")
    tasks.drain()
    return seen


class _Collection:
    """Tasks that wait, each with whether the code that added it failed."""

    def __init__(self, seen: Prediction, *, stop: bool) -> None:
        self._seen = seen
        self._stop = stop
        self._stopped = False
        self._waiting: deque[tuple[Call, str, bool]] = deque()

    def add_at(self, script: Script, *places: Place, failed: bool = False) -> None:
        for place in places:
            self.add(numbered(script.added.get(place, ()), place.name.lower()), failed=failed)

    def add(self, calls: Iterable[tuple[Call, str]], *, failed: bool = False) -> None:
        self._waiting.extend((call, name, failed) for call, name in calls)

    def drain(self) -> None:
        """One after another, as added, tasks added by tasks included."""
        while self._waiting:
            call, name, adder_failed = self._waiting.popleft()
            if call.when == ("success" if adder_failed else "failure"):
                self._seen.ended.append((name, "dropped"))
            elif self._stopped and call.when != "always":
                self._seen.ended.append((name, "skipped"))
            else:
                self._run(call, name)

    def _run(self, call: Call, name: str) -> None:
        """What an attempt adds stands and falls with that attempt."""
        for attempt in range(1, call.attempts + 1):
            fails = attempt <= call.fails
            self._seen.timeline.append(name)
            self.add(numbered(call.adds, attempted(name, attempt)), failed=fails)
            if not fails:
                self._seen.ended.append((name, "succeeded"))
                return
        self._seen.ended.append((name, "failed"))
        self._stopped = self._stopped or self._stop
