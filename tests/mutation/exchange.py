"""Make this process run a mutant: by other code in the functions that are there, or by importing another text."""

import gc
import sys
from collections.abc import Iterable, Iterator, Sequence
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
        new = _compiled(self._root, mutant.target, mutant.source)
        try:
            pairs = list(self._differing(self._codes[mutant.target], new))
        except ValueError:
            return None
        return [pair for pair in pairs if pair[0] in self._functions] or None

    def make(self, pairs: list[Pair]) -> None:
        """From now on this process runs what is new."""
        for old, new in pairs:
            for function in self._functions[old]:
                function.__code__ = new

    def _differing(self, old: CodeType, new: CodeType) -> Iterator[Pair]:
        """The functions that differ, also within others.

        Raises:
            ValueError: what has run while the module was imported does.
        """
        inside = list(zip(_inside(old), _inside(new), strict=True))
        is_function = old.co_flags & CO_OPTIMIZED
        if _itself(old) != _itself(new) and (not is_function or self._have_been_made(_inside(old))):
            raise ValueError("it has run")
        if old.co_freevars != new.co_freevars:
            raise ValueError("it closes over something else")
        if is_function:
            yield old, new
        for one, other in inside:
            if one != other:
                yield from self._differing(one, other)

    def _have_been_made(self, codes: Iterable[CodeType]) -> bool:
        """Whether there are functions of these: what has them inside ran while the module was imported."""
        return any(each in self._functions or self._have_been_made(_inside(each)) for each in codes)


def _compiled(root: Path, target: str, source: str) -> CodeType:
    return compile(source, str(root / target), "exec", dont_inherit=True)


def _inside(code: CodeType) -> list[CodeType]:
    return [each for each in code.co_consts if isinstance(each, CodeType)]


def _itself(code: CodeType) -> tuple[object, ...]:
    consts = [repr(each) for each in code.co_consts if not isinstance(each, CodeType)]
    return code.co_code, consts, code.co_names, code.co_varnames, code.co_exceptiontable


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
