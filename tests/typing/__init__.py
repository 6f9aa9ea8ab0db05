"""Checked by mypy and pyright, never executed."""
