r"""EBCDQL: distributed Q-learning with event-based communication.

Source: D. Jarne Ornia and M. Mazo, *Event-Based Communication in Distributed
Q-Learning* (2021), there "EBd-Q"; E. Gunn, *Communication Efficient Distributed
Reinforcement Learning* (2023), chapter 3.

It is DQL (``dql.py``, with its deviations) whose agents send the single records that
the scheme ``td_error`` lets through. Deviations:

1. The test comes before the update of L. After it, it would never fire where
   rho * beta >= 1; ``--set td_error.order=update_first`` offers that order.
2. The exploration is DQL's. The thesis' code explores with probability 0.5 here, the
   number of its threshold, against 0.1 in DQL.
3. The defaults (beta 0.05, rho 0.9, threshold 0.01) are ours. The thesis' code: Simple
   Grid beta 0.6, rho 1.3, threshold 0.5; Frozen Lake beta 0.05, rho 0.9, threshold 0.5.

Figure 3.4's EBCDQL curve, with the defaults::

    commenv run --env SimpleGrid-v0 --algorithm ebcdql --agents 5 --trials 100 \
        --episodes 1000 --gamma 0.9 --seed 0 --out results
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from commenv_baselines.dql import DQL

__all__ = ["EBCDQL"]


@dataclass(frozen=True)
class EBCDQL(DQL):
    """DQL whose agents send only the steps with a surprising TD error.

    The settings are DQL's; those of the test belong to the scheme ``td_error``.
    """

    name: ClassVar[str] = "ebcdql"
    scheme: ClassVar[str] = "td_error"
