"""``python -m commenv``: the command line."""

import sys

from commenv.cli import main

sys.exit(main())
