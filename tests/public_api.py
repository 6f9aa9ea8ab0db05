"""What is public: the names of the public modules, what their signatures name, and what classes have for users.

It is read from the sources, and nothing is imported. ``python -m tests.public_api`` writes ``public_api.txt`` anew.
"""

from collections.abc import Iterator, Mapping
from functools import cache, cached_property
from pathlib import Path
from typing import Any, Final

import griffe

from tests.pages import ROOT

FILE: Final = Path(__file__).with_suffix(".txt")
MODULES: Final = (
    "bg_di",
    "bg_di.backends",
    "bg_di.backends.rabbitmq",
    "bg_di.backends.sqlite",
    "bg_di.errors",
    "bg_di.observers",
    "bg_di.observers.log",
    "bg_di.observers.otel",
    "bg_di.observers.sentry",
    "bg_di.options",
    "bg_di.testing",
)
MADE_OF: Final = "what these are made of"
# Users are given them, and make none.
_GIVEN: Final = {
    "AddedTask",
    "BackgroundTasksMonitor",
    "CollectedTasks",
    "TasksOf",
    "TasksUsing",
    "VirtualClock",
    "WatchedBackgroundTasks",
}
# What other parts of ours ask of what users hold in hand.
_BETWEEN_US: Final[Mapping[str, set[str]]] = {
    "AddedTask": {"is_looked_at", "peek", "stands"},
    "CollectedTasks": {"close"},
    "VirtualClock": {"attempts", "passing"},
}
_CALLED_BY_SYNTAX: Final = {"__call__", "__enter__", "__exit__", "__get__", "__init__"}

Names = Mapping[str, griffe.Object]


class PublicApi:
    """The public names of the package.

    A public module is one of `MODULES`. What it has in ``__all__`` is public, or, where it has none, what it defines
    itself under a name without an underscore.
    """

    def __init__(self) -> None:
        self._package: Any = griffe.load("bg_di", search_paths=[ROOT], docstring_parser="google", resolve_aliases=True)
        self.modules: Mapping[str, Names] = {module: dict(sorted(self._names(module))) for module in MODULES}
        self._known = {each.canonical_path for names in self.modules.values() for each in names.values()}

    @cached_property
    def made_of(self) -> Names:
        """What signatures name besides, and so on; the subclass of a public class is no more to users than that."""
        found: dict[str, griffe.Object] = {}
        paths = [path for names in self.modules.values() for each in names.values() for path in self._named_by(each)]
        while paths:
            each = self._ours(paths.pop())
            if each is not None:
                assert each.name not in found, f"two things are called {each.name}"
                found[each.name] = each
                self._known.add(each.canonical_path)
                paths += self._named_by(each)
        return dict(sorted(found.items()))

    def members(self, each: griffe.Object) -> Names:
        """What a class has for users: its own, and what comes from classes of ours that are not public."""
        if not isinstance(each, griffe.Class):
            return {}
        private = [base for base in each.mro() if base.package is each.package and not self._is_public(base)]
        own: dict[str, Any] = {}
        for holder in (*reversed(private), each):
            own |= {name: member for name, member in holder.members.items() if _is_for_users(each, holder, name)}
        return {name: member for name, member in own.items() if not member.is_alias}

    def _is_public(self, each: griffe.Object) -> bool:
        return each.canonical_path in self._known

    def _names(self, module: str) -> Iterator[tuple[str, griffe.Object]]:
        holder = self._package if module == "bg_di" else self._package[module.removeprefix("bg_di.")]
        for name, member in holder.members.items():
            is_own = not (member.is_alias or member.is_module or name.startswith("_"))
            if is_own if holder.exports is None else name in holder.exports:
                yield name, member.final_target if member.is_alias else member

    def _named_by(self, each: griffe.Object) -> Iterator[str]:
        for member in (each, *self.members(each).values()):
            for said in _said_of(member):
                if isinstance(said, griffe.Expr):
                    yield from (part.canonical_path for part in said.iterate() if isinstance(part, griffe.ExprName))

    def _ours(self, path: str) -> griffe.Object | None:
        """What has the path, if it is ours, not known, and no type variable."""
        inside = path.removeprefix("bg_di.")
        if inside == path or inside.rpartition(".")[2].startswith("_"):
            return None
        try:
            found = self._package[inside]
        except KeyError:  # a parameter, or something of a variable
            return None
        target: griffe.Object = found.final_target if found.is_alias else found
        is_variable = isinstance(target, griffe.Attribute) and str(target.value).startswith(("TypeVar(", "ParamSpec("))
        is_known = self._is_public(target) or (
            isinstance(target, griffe.Class) and any(map(self._is_public, target.mro()))
        )
        return None if is_variable or is_known or target.is_module else target


@cache
def public_api() -> PublicApi:
    """Read once for all tests."""
    return PublicApi()


def _said_of(each: griffe.Object) -> Iterator[object]:
    if isinstance(each, griffe.Function):
        for call in (each, *(each.overloads or ())):
            yield call.returns
            yield from (parameter.annotation for parameter in call.parameters)
    elif isinstance(each, griffe.Attribute):
        yield each.annotation or (None if "instance-attribute" in each.labels else each.value)


def _is_for_users(made: griffe.Class, holder: griffe.Class, name: str) -> bool:
    if name == "__init__":
        # The fields say it.
        is_record = any("kw_only=True" in str(decorator.value) for decorator in holder.decorators)
        return not is_record and made.name not in _GIVEN
    if name in _BETWEEN_US.get(made.name, ()):
        return False
    return not name.startswith("_") or name in _CALLED_BY_SYNTAX


if __name__ == "__main__":
    from tests.public_api_text import render

    FILE.write_text(render(public_api()))
