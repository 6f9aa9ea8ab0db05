"""What is callable, too, and no application."""

import click


@click.group()
def group() -> None: ...
