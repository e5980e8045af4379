"""What the agents of a team earn and send in an episode, and what it costs."""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Network
from commenv.multiagent.bill import Bill
from commenv.snapshots import Resumable
from commenv.wrappers.infos import InfoNumbers, beside, comm_of
from commenv.wrappers.metrics import Meter, Metrics
from commenv.wrappers.statistics import EpisodeStatistics

__all__ = ["TeamAccounts"]


class TeamAccounts(Resumable):
    """Adds up an episode: its rewards, its messages, its bill.

    Args:
        names: Of all agents, in order.
        gamma: The discount of the metric ``reward``, in [0, 1].
        silence: Whether silence is charged.
        polls: Whether polls are.

    Raises:
        ValueError: A gamma outside [0, 1].
    """

    _remembered: ClassVar[tuple[str, ...]] = ("_silent", "_meter", "_statistics")
    _meter: Meter

    def __init__(
        self, names: Sequence[Any], gamma: float, *, silence: bool, polls: bool
    ) -> None:
        self._names = list(names)
        self._place = {name: place for place, name in enumerate(self._names)}
        self._statistics = EpisodeStatistics(gamma, len(self._names))
        self._charges = {"silence": silence, "polls": polls}
        self._silent = np.zeros(len(self._names), dtype=np.int64)

    def open(self, network: Network) -> None:
        """Reads off another network from now on."""
        self._meter = Meter(network)
        self._priced = network.channel.budget.exceed == "penalize"
        self._confirmed = network.channel.acknowledgements

    def begin(self) -> None:
        """Begins an episode."""
        self._meter.begin()
        self._statistics.begin()
        self._silent = np.zeros(len(self._names), dtype=np.int64)

    def paid(
        self,
        rewards: dict[Any, Any],
        present: NDArray[np.bool_],
        speaking: NDArray[np.bool_],
    ) -> dict[Any, Any]:
        """Enters a step.

        Args:
            rewards: By agent.
            present: bool, shape (agents,): who takes the step.
            speaking: bool, shape (agents,): who says something in it.

        Returns:
            The rewards without the price of what went beyond a budget.
        """
        self._silent += present & ~speaking
        earned = [rewards.get(name, 0.0) for name in self._names]
        self._statistics.add(np.array(earned, np.float64), present)
        if not self._priced:
            return rewards
        due = self._statistics.due(self._meter.traffic.penalty[0])
        if not np.count_nonzero(due):
            return rewards
        return {
            name: rewards[name] - price
            for name, price in zip(self._names, due, strict=True)
            if name in rewards
        }

    @property
    def bill(self) -> Bill:
        """The bytes of the episode so far."""
        steps = self._statistics.length.copy()
        return Bill.of(self._meter.traffic, self._silent, steps, **self._charges)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, agents)."""
        shape = 1, len(self._names)
        return self._statistics.metrics(shape, self._meter.traffic, None)

    @property
    def comm(self) -> list[InfoNumbers]:
        """What each agent may know of its messages: ``info["comm"]``."""
        comm = comm_of(self._meter)
        if self._confirmed:
            confirmed = self._meter.traffic.acknowledgements[0].tolist()
            for numbers, count in zip(comm, confirmed, strict=True):
                numbers["acknowledged"] = count
        return comm

    @property
    def totals(self) -> list[InfoNumbers]:
        """Each agent's metrics, and the bytes charged: ``info["episode_comm"]``."""
        columns = {
            **{name: values[0] for name, values in vars(self.metrics).items()},
            "charged_size": self.bill.charged,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [InfoNumbers(zip(columns, row, strict=True)) for row in rows]

    def infos(
        self,
        infos: Mapping[Any, Any],
        closing: Sequence[InfoNumbers],
        ended: Container[Any],
    ) -> dict[Any, dict[str, Any]]:
        """An environment's infos with what the channel tells.

        Args:
            infos: By agent.
            closing: The totals of all agents, if some have ended.
            ended: Whose episode is over.
        """
        comm, place = self.comm, self._place
        told: dict[Any, dict[str, Any]] = {}
        for agent, info in infos.items():
            own = comm[place[agent]]
            if closing and agent in ended:
                total = closing[place[agent]]
                told[agent] = beside(info, comm=own, episode_comm=total)
            elif "comm" in info:
                told[agent] = beside(info, comm=own)
            else:
                told[agent] = {
                    **info,
                    "comm": own,
                }  # a call for each agent takes longer
        return told
