"""A module that cannot be imported."""

raise ImportError("for want of a library")
