"""Observers that come with bg_di; each module needs what it reports to, and nothing else does."""
