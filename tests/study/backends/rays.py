"""Ray as tests use it: in a temporary folder, with a token of this process' own."""

import contextlib
import os
import secrets
import shutil
import tempfile

# Ray keeps a token for as long as a process lives; without one it writes to the home.
TOKEN = secrets.token_hex(32)


@contextlib.contextmanager
def surroundings():
    """Environment variables for Ray; its sockets need a short path."""
    folder = tempfile.mkdtemp(prefix="r", dir="/tmp")
    try:
        yield {
            "RAY_TMPDIR": folder,
            "RAY_AUTH_TOKEN": TOKEN,
            "RAY_USAGE_STATS_ENABLED": "0",
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def around_ray():
    """The same in this process."""
    before = dict(os.environ)
    with surroundings() as variables:
        os.environ.pop("RAY_ADDRESS", None)
        os.environ.update(variables)
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)
