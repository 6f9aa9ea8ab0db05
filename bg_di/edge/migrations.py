"""``ellar db migrate`` compares a database with the user's models: what is ours in it is to stay as it is."""

import sys
from collections.abc import Sequence
from typing import Any, Final

from ellar.core.modules import ModuleRefBase

_OURS: Final = "bg_di_"


def leave_tables_alone(modules: Sequence[ModuleRefBase]) -> None:
    """Have the migrations of every ellar-sql service of an application overlook our tables.

    It is told by alembic's ``include_name``, asked of what is found in a database only. With ``include_object``, which
    ellar-sql and its users have to themselves, one of theirs would be replaced.
    """
    if "ellar_sql" not in sys.modules:
        return
    from ellar_sql import EllarSQLService  # need not be installed

    for module in modules:
        if EllarSQLService in module.providers:
            options = module.get(EllarSQLService).migration_options
            theirs = options.context_configure.get("include_name")
            options.context_configure = {**options.context_configure, "include_name": _Includes(theirs)}


class _Includes:
    """Says of what is found in a database whether a migration looks at it.

    Args:
        theirs: what the user asks, if anything.
    """

    def __init__(self, theirs: Any) -> None:
        self._theirs = theirs

    def __call__(self, name: str | None, kind: str, parents: Any) -> bool:
        if kind == "table" and name is not None and name.startswith(_OURS):
            return False
        return self._theirs is None or bool(self._theirs(name, kind, parents))
