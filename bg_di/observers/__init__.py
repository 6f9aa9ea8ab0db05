"""Observers that come with bg_di, each in a module that needs what it reports to, and what others are made of."""

from bg_di.observers.outcome import Outcome

__all__ = ["Outcome"]
