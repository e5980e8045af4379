"""What counts as a seed: one rule for everything that takes one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from commenv.checks import check_integer

__all__ = ["integer_seed", "seed_each"]


def integer_seed(seed: Any, name: str = "seed") -> int:
    """A seed as a Python integer.

    Integers of NumPy and other libraries are taken, of any size. Numbers that merely
    look whole are not: a seed of 1.0 is most likely a mistake.

    Args:
        seed: The seed.
        name: What errors call it.

    Raises:
        TypeError: It is not an integer.
        ValueError: It is negative.
    """
    return check_integer(name, seed)


def seed_each(seed: Any, num_envs: int) -> list[int | None]:
    """The seeds of a vector environment's sub-environments.

    Args:
        seed: One for each (None: go on with what it has), or a first one from which
            they count up, or None.
        num_envs: How many there are.

    Raises:
        TypeError: A seed that is not an integer.
        ValueError: A negative one, or not one for each sub-environment.
    """
    if seed is None:
        return [None] * num_envs
    listed = isinstance(seed, Sequence) and not isinstance(seed, (str, bytes))
    if not listed and np.ndim(seed) != 1:
        first = integer_seed(seed)
        return [first + row for row in range(num_envs)]
    if len(seed) != num_envs:
        raise ValueError(
            f"{len(seed)} seeds for {num_envs} sub-environments; give one for each, or "
            "a single integer"
        )
    return [None if one is None else integer_seed(one) for one in seed]
