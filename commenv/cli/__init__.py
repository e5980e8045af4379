"""The command line."""

from commenv.cli.entry import main

__all__ = ["main"]
