"""The tasks that workers of an application may run, by name: what is listed, and nothing else."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from types import FunctionType, ModuleType
from typing import Any, Final

from bg_di import log
from bg_di.declaring.declare import Declaration, declared
from bg_di.errors import InvalidOptions
from bg_di.wire import CallFormat

_METHODS: Final = (FunctionType, classmethod, staticmethod)


@dataclass(frozen=True, slots=True, eq=False)
class ListedTask:
    """A task that may be handed over, and run where it arrives.

    Attributes:
        func: as it was listed; a service's, as it is found on the class.
        needs: the parameters that the container fills, by name.
        format: how its calls travel.
    """

    func: Callable[..., Any]
    declaration: Declaration
    needs: Mapping[str, Any]
    format: CallFormat

    @property
    def where(self) -> str:
        """``module:qualname`` of it, by the class that it was looked up on if it is a service's."""
        function: Any = inspect.unwrap(self.func)
        service = self.declaration.service
        if service is None:
            return f"{function.__module__}:{function.__qualname__}"
        return f"{service.__module__}:{service.__qualname__}.{function.__name__}"

    def stands_for(self, func: Callable[..., Any], service: type | None) -> bool:
        """Whether calling it is what a call of `func`, of the same name, means."""
        return service is self.declaration.service and _meant(func) == _meant(self.func)


def list_tasks(
    listed: Iterable[Any], needs_of: Callable[[Callable[..., Any]], Mapping[str, Any]]
) -> Mapping[str, ListedTask]:
    """Read the option ``tasks``.

    Args:
        listed: declared tasks, modules that define them, and names of such modules, which are imported.
        needs_of: tells what the container fills.

    Raises:
        InvalidOptions: a module cannot be imported or defines no task, or two tasks have the same name.
        TypeError: a task cannot be one on an engine.
    """
    tasks: dict[str, ListedTask] = {}
    for func in _functions(listed):
        task = _listed(func, needs_of(func))
        known = tasks.setdefault(task.declaration.name, task)
        if not known.stands_for(func, task.declaration.service):
            raise InvalidOptions(
                f"option 'tasks' lists two tasks of the name {task.declaration.name!r}, {known.where} and "
                f"{task.where}: give one of them another name, by @background_task(name=...)"
            )
    return tasks


def _listed(func: Callable[..., Any], needs: Mapping[str, Any]) -> ListedTask:
    declaration = declared(func)
    assert declaration is not None, "validated with the options"
    if declaration.name.startswith("__main__:"):
        log.named_by_script(declaration.name)
    return ListedTask(func, declaration, needs, CallFormat(func, needs))


def _functions(listed: Iterable[Any]) -> Iterator[Callable[..., Any]]:
    for each in listed:
        if isinstance(each, str):
            yield from _defined_in(_imported(each))
        elif isinstance(each, ModuleType):
            yield from _defined_in(each)
        else:
            yield each


def _imported(name: str) -> ModuleType:
    try:
        return import_module(name)
    except ImportError as error:
        raise InvalidOptions(f"option 'tasks' names the module {name!r}, which cannot be imported: {error}") from error


def _defined_in(module: ModuleType) -> Iterator[Callable[..., Any]]:
    """The tasks that a module defines, and not those that it imports."""
    found = [func for each in vars(module).values() if _is_defined_in(module, each) for func in _tasks_of(each)]
    if not found:
        raise InvalidOptions(
            f"option 'tasks' names the module {module.__name__!r}, which defines no task: put @background_task on "
            "those in it"
        )
    yield from found


def _is_defined_in(module: ModuleType, what: object) -> bool:
    # Looked up by type: a proxy may have any attribute, and make what it stands for when it is asked for one.
    return (type(what) is FunctionType or isinstance(what, type)) and what.__module__ == module.__name__


def _tasks_of(what: Any) -> Iterator[Callable[..., Any]]:
    functions = [what]
    if isinstance(what, type):
        # Other descriptors may do anything where they are looked up on the class.
        functions = [getattr(what, name) for name, value in vars(what).items() if isinstance(value, _METHODS)]
    yield from (each for each in functions if declared(each) is not None)


def _meant(func: Any) -> tuple[type | None, Callable[..., Any]]:
    """The class that a class method is bound to, and the function: each look-up makes another object of them."""
    return getattr(func, "__self__", None), inspect.unwrap(getattr(func, "__func__", func))
