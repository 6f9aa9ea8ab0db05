"""``check``: whether engines are ready, and how much there is to do."""

from argparse import Namespace
from collections.abc import Mapping
from typing import Any, Final

from bg_di.backends import Counts, Engine
from bg_di.backends.capabilities import incapable
from bg_di.commands.application import Application
from bg_di.commands.asking import able, ask
from bg_di.commands.outcome import DONE, NOT_DONE
from bg_di.commands.output import print_json, print_table
from bg_di.errors import BackendUnavailable

_SHOWN: Final = ("waiting", "running", "dead", "oldest")


def check(application: Application, arguments: Namespace) -> int:
    """Tell how the engines stand. Each that cannot tell is not ready: nobody knows."""
    names, unable = able(application, arguments.backend, "counts")
    told = ask(application, names, _counts)
    found = {name: _standing(counts, _problems(counts, arguments)) for name, counts in told.items()}
    found |= {name: _standing(None, [incapable([name], "counts")]) for name in unable}
    ready = not any(standing["problems"] for standing in found.values())
    if arguments.json:
        print_json({"ready": ready, "backends": found})
    else:
        _print(ready, found)
    return DONE if ready else NOT_DONE


def _counts(engines: Mapping[str, Engine]) -> dict[str, Counts | BackendUnavailable]:
    return {name: _counts_of(engine) for name, engine in engines.items()}


def _counts_of(engine: Engine) -> Counts | BackendUnavailable:
    try:
        return engine.counts()
    except BackendUnavailable as error:
        return error


def _problems(told: Counts | BackendUnavailable, limits: Namespace) -> list[str]:
    if isinstance(told, BackendUnavailable):
        return [f"it cannot be reached: {told}"]
    compared = (
        (told.waiting, limits.max_backlog, "{} waiting, more than {}"),
        (told.oldest, limits.max_age, "one has been due for {:.1f} seconds, longer than {:g}"),
        (told.dead, limits.max_dead, "{} dead, more than {}"),
    )
    unknown = told.oldest is None and limits.max_age is not None
    return ["it cannot tell how long tasks have been due: leave --max-age out"] * unknown + [
        words.format(value, limit)
        for value, limit, words in compared
        if value is not None and limit is not None and value > limit
    ]


def _standing(told: Counts | BackendUnavailable | None, problems: list[str]) -> dict[str, Any]:
    """What is known of an engine; that it is reachable, if nobody can know, is None."""
    counts = told if isinstance(told, Counts) else None
    return {
        "reachable": None if told is None else counts is not None,
        **{key: None if counts is None else getattr(counts, key) for key in _SHOWN},
        "problems": problems,
    }


def _print(ready: bool, found: Mapping[str, Mapping[str, Any]]) -> None:
    rows = [
        [name, *(_rounded(standing[key]) for key in _SHOWN), "; ".join(standing["problems"]) or "ready"]
        for name, standing in found.items()
    ]
    print_table(["BACKEND", "WAITING", "RUNNING", "DEAD", "OLDEST (S)", "STATUS"], rows)
    print("ready" if ready else "not ready")


def _rounded(value: float | None) -> object:
    return round(value, 1) if isinstance(value, float) else value
