"""``python -m commenv``: the command line."""

import sys

from commenv.cli import main

__all__: list[str] = []

if __name__ == "__main__":
    sys.exit(main())
