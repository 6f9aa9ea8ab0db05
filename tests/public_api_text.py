"""The public API as text: a change of one name is a change of one line."""

from collections.abc import Iterator
from typing import Final

import griffe

from tests.public_api import MADE_OF, PublicApi

_INDENT: Final = "    "
# Of decorators, those that change what users see.
_SEEN: Final = ("dataclass(", "contextmanager", "asynccontextmanager")


def render(api: PublicApi) -> str:
    """All of it; what is in several modules is shown in the first."""
    shown: dict[str, str] = {}
    lines: list[str] = []
    for module, names in {**api.modules, MADE_OF: api.made_of}.items():
        lines += ["", f"# {module}", ""]
        for name, each in names.items():
            path = f"{module}.{name}"
            first = shown.setdefault(each.canonical_path, path)
            lines += _shown(api, each) if first == path else [f"{name} = {first}"]
    return "\n".join(lines[1:]) + "\n"


def _shown(api: PublicApi, each: griffe.Object) -> Iterator[str]:
    if isinstance(each, griffe.Class | griffe.Function):
        yield from (f"@{text}" for text in (str(one.value) for one in each.decorators) if text.startswith(_SEEN))
    if isinstance(each, griffe.Class):
        bases = f"({', '.join(map(str, each.bases))})" if each.bases else ""
        yield f"class {each.name}{bases}"
        for member in api.members(each).values():
            yield from (f"{_INDENT}{line}" for line in _shown(api, member))
    elif isinstance(each, griffe.Function):
        yield from _called(each)
    elif isinstance(each, griffe.Attribute):
        yield _attribute(each)


def _called(function: griffe.Function) -> Iterator[str]:
    kinds = [kind for kind in ("async", "classmethod", "staticmethod", "abstractmethod") if kind in function.labels]
    for each in function.overloads or [function]:
        yield " ".join([*kinds, "def", each.signature()])


def _attribute(attribute: griffe.Attribute) -> str:
    labels = attribute.labels
    annotation = "" if attribute.annotation is None else f": {attribute.annotation}"
    # What is set in a method is not what users see.
    is_default = "property" not in labels and ("instance-attribute" not in labels or "class-attribute" in labels)
    value = f" = {attribute.value}" if is_default and attribute.value is not None else ""
    return f"{'property ' if 'property' in labels else ''}{attribute.name}{annotation}{value}"
