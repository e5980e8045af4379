r"""ESPC: evolution strategies with probabilistic communication.

Source: E. Gunn, *Communication Efficient Distributed Reinforcement Learning* (2023),
chapter 4.

It is ES (``es.py``, with its deviations) whose agents send by the scheme
``probabilistic``, where the readings of the sending rule are listed. Deviations:

1. The settings are the thesis' for Cart Pole, raw returns included. Utilities F ||e||
   of raw returns keep noise along the gradient where returns are positive and against
   it where they are negative, so this form depends on an offset of the rewards.
2. ``baseline="window"`` is the form that does not: agents send F - b, and the scheme's
   mode becomes ``centered``, with the same window, unless a study sets them itself.
3. On Ant the thesis uses hidden_sizes=(64, 64), learning_rate=0.005, noise=0.02.

Figure 4.5's ESPC curve::

    commenv run --env commenv/CartPole-v1 --algorithm espc --agents 50 --trials 20 \
        --episodes 200 --gamma 1 --seed 0 --set m=25 --set k=5 --out results
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from commenv_baselines.es import ES, Shaping

__all__ = ["ESPC"]


@dataclass(frozen=True)
class ESPC(ES):
    """ES whose agents send if their utility is likely among the m largest of n.

    The settings are ES', with the thesis' values for Cart Pole; m, k and the mode
    belong to the scheme ``probabilistic``.
    """

    name: ClassVar[str] = "espc"
    scheme: ClassVar[str] = "probabilistic"

    shaping: Shaping = "raw"
    learning_rate: float = 0.01
    noise: float = 0.05
    l2: float = 0.05

    def scheme_settings(self) -> dict[str, Any]:
        """Windows of one length, and centred utilities where returns are centred."""
        mode = "literal" if self.baseline == "none" else "centered"
        return {"k": self.window, "mode": mode}
