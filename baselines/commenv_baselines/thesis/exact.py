"""The thesis' figures that need no learning: 4.1 and 4.7, in closed form and by draws.

Figure 4.1 holds the expected probability of sending, E[p_send], against m for n = 50:
with p uniform it is exactly m / n. Figure 4.7 is p_send in the first round, where every
agent has p = 1/2: P(Bin(n - 1, 1/2) >= n - m).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["AGENTS", "expected_sending", "first_round"]

AGENTS = 50
SAMPLES = 100_000
_BATCH = 1_000

Array = NDArray[np.float64]


def expected_sending(seed: int = 0, samples: int = SAMPLES) -> pd.DataFrame:
    """E[p_send] for every m: exact, and the mean over standard normal utilities.

    Args:
        seed: Of the utilities.
        samples: How many utilities are drawn.

    Returns:
        Columns m, exact, monte_carlo, error (its standard error).
    """
    import pandas as pd
    from scipy import special

    m = np.arange(AGENTS + 1)
    utilities = np.random.default_rng(seed).normal(size=samples)
    total, squares = np.zeros(len(m)), np.zeros(len(m))
    for part in np.array_split(utilities, max(1, samples // _BATCH)):
        send = _sending(special.ndtr(part)[:, None], m)
        total += send.sum(axis=0)
        squares += (send**2).sum(axis=0)
    mean = total / samples
    variance = np.maximum(squares / samples - mean**2, 0.0)
    return pd.DataFrame(
        {
            "m": m,
            "exact": m / AGENTS,
            "monte_carlo": mean,
            "error": np.sqrt(variance / samples),
        }
    )


def first_round(seed: int = 0, samples: int = SAMPLES) -> pd.DataFrame:
    """p_send in the first round for every m: exact, and by counting who is among m.

    The counted share is that of draws in which fewer than m of the n - 1 others, each
    above with probability 1/2, are above.

    Args:
        seed: Of the draws.
        samples: How many draws.

    Returns:
        Columns m, exact, monte_carlo, error (its standard error).
    """
    import pandas as pd

    m = np.arange(AGENTS + 1)
    exact = _sending(np.array([[0.5]]), m)[0]
    above = np.random.default_rng(seed).binomial(AGENTS - 1, 0.5, size=samples)
    counts = np.bincount(above, minlength=AGENTS).cumsum() / samples
    share = np.concatenate([[0.0], counts])
    error = np.sqrt(share * (1 - share) / samples)
    return pd.DataFrame({"m": m, "exact": exact, "monte_carlo": share, "error": error})


def _sending(p: Array, m: NDArray[np.int64]) -> Array:
    """P(Bin(n - 1, p) >= n - m), shape (utilities, len(m)); 0 for m = 0, 1 for n."""
    from scipy import special

    least = np.clip(AGENTS - m - 1, -1, AGENTS - 2)
    send = special.bdtrc(np.maximum(least, 0), AGENTS - 1, p)
    return np.where(m == 0, 0.0, np.where(m == AGENTS, 1.0, send))
