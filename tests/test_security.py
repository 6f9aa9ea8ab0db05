"""What SECURITY.md says, as far as no other test shows it."""

import ast

from tests.pages import ROOT

# Each makes something run that is in the data.
DANGEROUS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve", "jsonpickle", "yaml", "code"}
EVALUATING = {"eval", "exec", "compile", "__import__"}


def test_nothing_is_unpickled_or_evaluated() -> None:
    """Anywhere in the package; and modules are imported by the names in the user's options and commands only."""
    importing = set()
    for path in (ROOT / "bg_di").glob("**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    assert not {alias.name.partition(".")[0] for alias in names} & DANGEROUS, path
                case ast.ImportFrom(module=module):
                    assert str(module).partition(".")[0] not in DANGEROUS, path
                case ast.Call(func=ast.Name(id=called)):
                    assert called not in EVALUATING, path
                    if called == "import_module":
                        importing.add(path.name)
    assert importing == {"listed.py", "target.py"}
