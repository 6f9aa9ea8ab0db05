"""A module that defines no task: the one in it is another's."""

from tests.listed.other import imported

__all__ = ["imported"]
