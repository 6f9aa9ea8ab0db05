"""What a task needs from the container: its parameters annotated ``Inject[...]``."""

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from typing import Any, get_args, get_type_hints

from bg_di.declaring.binding import name_of


def needs_of(func: Callable[..., Any], key_of: Callable[[Any], Any]) -> Mapping[str, Any]:
    """The parameters that the container fills, by name, with what they ask for.

    Each annotation is read by itself: a name that only type checkers can see spoils no other one.

    Raises:
        TypeError: one cannot be filled by name, or is about ``Inject`` and cannot be read.
    """
    func = inspect.unwrap(func)
    needs = {}
    for name, parameter in inspect.signature(func).parameters.items():
        key = _key(func, name, parameter.annotation, key_of)
        if key is None:
            continue
        if parameter.kind not in {parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY}:
            raise TypeError(
                f"add_task() cannot run {name_of(func)}: the container fills parameters by name, so {name!r} may not "
                "be *args, **kwargs or positional-only"
            )
        needs[name] = key
    return needs


def missing(
    func: Callable[..., Any], needs: Mapping[str, Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> Mapping[str, Any]:
    """Those of `needs` that a call does not give by itself."""
    if not needs:
        return {}
    given = {*list(inspect.signature(func).parameters)[: len(args)], *kwargs}
    return {name: key for name, key in needs.items() if name not in given}


def _key(func: Any, name: str, annotation: Any, key_of: Callable[[Any], Any]) -> Any:
    if isinstance(annotation, str):
        annotation = _read(func, name, annotation)
    # ``Optional[Inject[T]]`` is ``Inject[T]`` all the same.
    keys = [key for each in (annotation, *get_args(annotation)) if (key := key_of(each)) is not None]
    return keys[0] if keys else None


def _read(func: Any, name: str, annotation: str) -> Any:
    try:
        return annotation_of(func, name, annotation)
    except NameError as error:
        if "Inject" in annotation:
            raise TypeError(
                f"add_task() cannot tell what {name_of(func)} needs: the annotation {annotation!r} of {name!r} cannot "
                f"be read: {error}; import it at run time"
            ) from None
        return None


def annotation_of(func: Any, name: str, annotation: str) -> Any:
    """What the text of one annotation says where `func` stands.

    Raises:
        NameError: it has a name that is not known there.
    """
    names = dict(_closed_over(func))
    holder = type("_", (), {"__annotations__": {name: annotation}})
    return get_type_hints(holder, func.__globals__, names, include_extras=True)[name]


def _closed_over(func: Any) -> Iterator[tuple[str, Any]]:
    for name, cell in zip(func.__code__.co_freevars, func.__closure__ or (), strict=True):
        with suppress(ValueError):  # it is not filled yet
            yield name, cell.cell_contents
