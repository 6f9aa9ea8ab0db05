"""The options of the module, as they are."""

from types import NoneType
from typing import Any, Final, Literal, get_args, get_origin

from pydantic.fields import FieldInfo

from bg_di.options import Options
from mkdocs_hooks.docstrings import attributes

_WORDS: Final = {"observers": "A list", "tasks": "A list", "carry": "A list", "backends": "A dict, by name"}
_BOUNDS: Final = {"ge": "at least {}", "gt": "above {}", "min_length": "not empty", "max_length": "at most {} long"}


def options() -> str:
    """Each of them under a heading: what may be given, the default, the meaning."""
    about = attributes(Options)
    return "\n\n".join(
        f"## {name}\n\n{_type(name, field)}; default `{_default(field)}`\n\n{_sentence(about[name])}"
        for name, field in Options.model_fields.items()
    )


def _sentence(text: str) -> str:
    meaning, _, _ = text.partition(" Default: ")  # which stands above it
    return meaning[0].upper() + meaning[1:]


def _type(name: str, field: FieldInfo) -> str:
    bounds = [
        words.format(getattr(each, key))
        for each in _metadata(field)
        for key, words in _BOUNDS.items()
        if getattr(each, key, None) is not None
    ]
    return ", ".join([_WORDS.get(name) or _shown(field.annotation), *bounds])


def _metadata(field: FieldInfo) -> list[Any]:
    nested = [each for part in get_args(field.annotation) for each in getattr(part, "__metadata__", ())]
    return [*field.metadata, *(own for each in nested for own in getattr(each, "metadata", [each]))]


def _shown(annotation: Any) -> str:
    if get_origin(annotation) is Literal:
        return " or ".join(f'`"{each}"`' for each in get_args(annotation))
    parts = [part for part in get_args(annotation) if part is not NoneType]
    if parts:
        return _shown(parts[0])
    return f"`{annotation.__name__}`"


def _default(field: FieldInfo) -> str:
    value = field.get_default(call_default_factory=True)
    if value == ():
        return "[]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else repr(value)
