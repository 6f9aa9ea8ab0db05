"""Programs: applications that hypothesis makes up, and the requests that come to them at once."""

from dataclasses import dataclass, replace
from functools import partial
from itertools import product

from hypothesis import strategies as st

from tests.properties.script import Call, Ending, Leaving, Place, Script

HANDLERS = ("async", "sync", "inject", "constructor", "current", "mounted")
WITH_BACKGROUND = ("response", "stream", "file", "redirect", "injected response", "shared")
RESULTS = (*WITH_BACKGROUND, "dict", "model", "tuple", "none", "collection", "sent by hand")
KINDS = ("closure", "function", "declared", "inject", "service")
WHEN = ("success", "failure", "always")


@dataclass(frozen=True)
class Program:
    """An application, and requests to it.

    Attributes:
        run_after, on_error: options of the module.
        at_root: whether the module is declared there, or next to the routes.
        observed: whether a `TaskObserver` listens, for which each task is more than a plain call.
        stack: middleware that holds messages back: a `BaseHTTPMiddleware` (``"function"``), ``"gzip"``.
        scripts: its routes.
        requests: numbers of routes, and who asks.
    """

    run_after: str
    on_error: str
    at_root: bool
    observed: bool
    stack: tuple[str, ...]
    scripts: tuple[Script, ...]
    requests: tuple[tuple[int, Leaving], ...]

    def visits(self) -> list[tuple[int, Script, Leaving]]:
        """Each request: the number of its route, the route, the client."""
        count = len(self.scripts)
        return [(number % count, self.scripts[number % count], client) for number, client in self.requests]


def calls() -> st.SearchStrategy[Call]:
    call = partial(
        st.builds,
        Call,
        how=st.sampled_from(["async", "suspending", "sync"]),
        fails=st.sampled_from([0, 0, 0, 1, 2]),
        kind=st.sampled_from(KINDS),
        when=st.sampled_from(["success", *WHEN]),
        attempts=st.sampled_from([1, 1, 2]),
        using=st.booleans(),
    )
    return st.recursive(call(), lambda more: call(adds=st.lists(more, min_size=1, max_size=2).map(tuple)), max_leaves=4)


def scripts() -> st.SearchStrategy[Script]:
    tasks = st.lists(calls(), min_size=1, max_size=2).map(tuple)
    return st.builds(
        Script,
        handler=st.sampled_from(HANDLERS),
        result=st.sampled_from(RESULTS),
        ending=st.sampled_from([Ending.RETURNS, Ending.RETURNS, Ending.RETURNS, *Ending]),
        own=st.none() | calls(),
        added=st.dictionaries(st.sampled_from(Place), tasks, min_size=2, max_size=8),
    ).map(sensible)


def sensible(script: Script) -> Script:
    """The nearest script that means something: only some responses have a background, only a stream can break."""
    handler, result, ending = script.handler, script.result, script.ending
    if handler == "mounted":
        result, ending = "mounted", ending if ending is Ending.RAISES else Ending.RETURNS
    elif ending is Ending.BREAKS:
        result = "stream"
    elif handler == "sync" and result == "sent by hand":
        result = "dict"
    own = script.own if result in WITH_BACKGROUND else None
    if own is None and result == "shared":
        own = Call()
    if own is not None:
        # It is Starlette's, which knows of no declaration.
        own = Call(own.how, own.fails, own.adds)
    sensible = replace(script, result=result, ending=ending, own=own)
    return sensible if handler == "constructor" else _without(sensible, {Place.CONSTRUCTOR})


def clients() -> st.SearchStrategy[Leaving]:
    spec = st.sampled_from(["2.3", "2.4", "2.4"])
    stays = st.builds(Leaving, spec=spec, slow=st.booleans())
    leaves = st.builds(
        Leaving, spec=spec, after=st.sampled_from([0, 1, 1, 2, 3]), cancels=st.sampled_from([False, False, True])
    )
    return st.one_of(stays, leaves)


def programs() -> st.SearchStrategy[Program]:
    return st.builds(
        Program,
        run_after=st.sampled_from(["response", "request"]),
        on_error=st.sampled_from(["stop", "continue"]),
        at_root=st.booleans(),
        observed=st.booleans(),
        stack=st.sampled_from([(), (), ("function",), ("gzip",), ("gzip", "function")]),
        scripts=st.lists(scripts(), min_size=1, max_size=4).map(tuple),
        requests=st.lists(st.tuples(st.integers(0, 3), clients()), min_size=3, max_size=8).map(tuple),
    ).map(possible)


def possible(program: Program) -> Program:
    """The program without what others break: anyio loses a file that is opened while the request is cancelled, and
    gzip changes the headers of the response object itself, which then cannot be shared."""
    requests, scripts = program.requests, program.scripts
    if any(script.result == "file" for script in scripts):
        requests = tuple((number, replace(client, cancels=False)) for number, client in requests)
    if "gzip" in program.stack:
        scripts = tuple(
            replace(script, result="response") if script.result == "shared" else script for script in scripts
        )
    return replace(program, requests=requests, scripts=scripts)


def predictable(program: Program) -> Program:
    """The program without what depends on timing, and without places that are not in its application.

    Under `BaseHTTPMiddleware` the route is a task of its own: it may end before or after the last byte has been
    sent, and a client that leaves cuts it off anywhere.
    """
    stack = tuple(name for name in program.stack if name == "function")
    timed = {Place.AFTER_MODULE, Place.AFTER_APPLICATION} if stack else {Place.FUNCTION_MIDDLEWARE}
    return replace(
        program,
        stack=stack,
        scripts=tuple(_without(script, timed) for script in program.scripts),
        requests=tuple(
            (number, replace(client, after=None if stack else client.after, cancels=False))
            for number, client in program.requests
        ),
    )


def _without(script: Script, places: set[Place]) -> Script:
    return replace(script, added={place: tasks for place, tasks in script.added.items() if place not in places})


def exhaustive(handler: str, stack: tuple[str, ...], run_after: str) -> Program:
    """A program of each result and each ending for this kind of handler, for each client, with a task in each place."""
    kinds = [*((result, Ending.RETURNS) for result in RESULTS), *(("dict", ending) for ending in Ending)]
    scripts = tuple(
        sensible(Script(handler, *kind, Call("suspending"), _everywhere(number))) for number, kind in enumerate(kinds)
    )
    clients = [Leaving(spec, after) for spec, after in product(("2.3", "2.4"), (None, 0, 1, 2, 3))]
    clients.append(Leaving("2.3", slow=True))
    requests = tuple(product(range(len(scripts)), clients))
    return predictable(
        Program(
            run_after,
            "continue",
            at_root=True,
            observed=run_after == "request",
            stack=stack,
            scripts=scripts,
            requests=requests,
        )
    )


def _everywhere(turn: int) -> dict[Place, tuple[Call, ...]]:
    """A task in each place, of another kind at each turn."""
    turns = enumerate(Place, turn)
    return {
        place: (Call(adds=(Call("sync"),), kind=KINDS[number % 5], when=WHEN[number % 3]),) for number, place in turns
    }
