"""Global random generators, left as they were found."""

from __future__ import annotations

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

__all__ = ["preserved_random_state"]


@contextmanager
def preserved_random_state() -> Iterator[None]:
    """Puts the global generators back at the end of a block, whatever happened in it.

    For libraries that seed and read them, such as Stable-Baselines3: Python's,
    NumPy's, and torch's on the CPU and, where it was in use, on CUDA devices. torch is
    not imported here; if the block imports it first, its generator, which nobody had
    read before, is left as the block left it.

    Example:
        >>> import random
        >>> before = random.getstate()
        >>> with preserved_random_state():
        ...     random.seed(0)
        >>> random.getstate() == before
        True
    """
    torch = sys.modules.get("torch")
    python, legacy = random.getstate(), np.random.get_state()  # noqa: NPY002 - its own
    cpu = torch.random.get_rng_state() if torch else None
    cuda = torch.cuda.get_rng_state_all() if torch and _in_use(torch) else []
    try:
        yield
    finally:
        random.setstate(python)
        np.random.set_state(legacy)  # noqa: NPY002
        if torch and cpu is not None:
            torch.random.set_rng_state(cpu)
        if torch and cuda:
            torch.cuda.set_rng_state_all(cuda)


def _in_use(torch: object) -> bool:
    """Whether torch has opened a CUDA device; asking for its generators would."""
    return bool(torch.cuda.is_initialized())  # type: ignore[attr-defined]
