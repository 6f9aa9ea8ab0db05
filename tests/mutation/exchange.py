"""Make this process run a mutant: by other code in the functions that are there, or by importing another text."""

import gc
import sys
from collections.abc import Iterator, Sequence
from importlib.abc import MetaPathFinder
from importlib.machinery import ModuleSpec, SourceFileLoader
from importlib.util import spec_from_file_location
from inspect import CO_OPTIMIZED
from pathlib import Path
from types import CodeType, FunctionType, ModuleType

from tests.mutation.mutants import Mutant
from tests.mutation.targets import module_of

Pair = tuple[CodeType, CodeType]


class Exchange:
    """The functions of files that have been imported.

    Args:
        root: of the project.
        targets: the files, from there.
    """

    def __init__(self, root: Path, targets: Sequence[str]) -> None:
        self._root = root
        self._codes = {target: _compiled(root, target, (root / target).read_text()) for target in targets}
        names = {code.co_filename for code in self._codes.values()}
        self._functions: dict[CodeType, list[FunctionType]] = {}
        for each in gc.get_objects():
            if type(each) is FunctionType and each.__code__.co_filename in names:
                self._functions.setdefault(each.__code__, []).append(each)

    def pairs(self, mutant: Mutant) -> list[Pair] | None:
        """The code to exchange, old and new; None where that cannot show what the mutant does."""
        try:
            pairs = list(_differing(self._codes[mutant.target], _compiled(self._root, mutant.target, mutant.source)))
        except ValueError:
            return None
        known = all(old in self._functions and old.co_freevars == new.co_freevars for old, new in pairs)
        return pairs if pairs and known else None

    def make(self, pairs: list[Pair]) -> None:
        """From now on this process runs what is new."""
        for old, new in pairs:
            for function in self._functions[old]:
                function.__code__ = new


def _compiled(root: Path, target: str, source: str) -> CodeType:
    return compile(source, str(root / target), "exec", dont_inherit=True)


def _differing(old: CodeType, new: CodeType) -> Iterator[Pair]:
    """The outermost functions that differ.

    Raises:
        ValueError: what runs while the module is imported does.
    """
    inner_old, inner_new = ([each for each in code.co_consts if isinstance(each, CodeType)] for code in (old, new))
    if len(inner_old) != len(inner_new) or _itself(old) != _itself(new):
        raise ValueError("it differs itself")
    for one, other in zip(inner_old, inner_new, strict=True):
        if one == other:
            continue
        if one.co_flags & CO_OPTIMIZED:
            yield one, other
        else:  # the body of a class
            yield from _differing(one, other)


def _itself(code: CodeType) -> tuple[object, ...]:
    consts = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, consts, code.co_names


class _Loader(SourceFileLoader):
    def __init__(self, name: str, path: str, source: str) -> None:
        super().__init__(name, path)
        self._source = source

    # Past the cache of what has been compiled, which belongs to the file as it is.
    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)


class Importing(MetaPathFinder):
    """Finds a mutant where its module is imported."""

    def __init__(self, root: Path, mutant: Mutant) -> None:
        self._name = module_of(mutant.target)
        self._path = str(root / mutant.target)
        self._source = mutant.source

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname != self._name:
            return None
        return spec_from_file_location(fullname, self._path, loader=_Loader(fullname, self._path, self._source))

    def install(self) -> None:
        assert self._name not in sys.modules, "it is to be imported yet"
        sys.meta_path.insert(0, self)
