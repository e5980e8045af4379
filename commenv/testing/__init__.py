"""Conformance checks for other people's plug-ins; call them in your own tests.

Each check raises AssertionError with what is wrong, and passes silently.
"""

from commenv.testing.algorithm import check_algorithm
from commenv.testing.codec import check_codec
from commenv.testing.link import check_link
from commenv.testing.scheme import check_scheme

__all__ = ["check_algorithm", "check_codec", "check_link", "check_scheme"]
