"""What agents earned and what their messages cost, episode by episode."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Fate, Left, Mesh, Unit
from commenv.multiagent.bill import Bill
from commenv.wrappers.metrics import Metrics, Traffic, check_gamma
from commenv.wrappers.telling import Numbers

__all__ = ["Reckoning"]


class Reckoning:
    """Adds up an episode.

    Args:
        num_agents: How many agents there are.
        gamma: The discount of the metric ``reward``, in [0, 1].
        silence: Whether silence is charged.
        polls: Whether polls are.

    Raises:
        ValueError: A gamma outside [0, 1].
    """

    def __init__(
        self, num_agents: int, gamma: float, *, silence: bool, polls: bool
    ) -> None:
        check_gamma(gamma)
        self._num_agents = num_agents
        self._gamma = gamma
        self._charges = {"silence": silence, "polls": polls}

    def begin(self, mesh: Mesh) -> None:
        """Begins an episode of this mesh."""
        self._mesh = mesh
        self._discount = 1.0
        self._discounted, self._return = np.zeros((2, self._num_agents))
        self._steps, self._silent = np.zeros((2, self._num_agents), dtype=np.int64)
        self._penalty = mesh.penalty.copy()
        self._before = _read(mesh)
        self._bill_before = self._bill()

    def speak(self, present: NDArray[np.bool_], speaking: NDArray[np.bool_]) -> None:
        """Enters who takes a step, and who says something in it."""
        self._steps += present
        self._silent += present & ~speaking

    def settle(
        self, rewards: Mapping[str, Any], names: list[str]
    ) -> NDArray[np.float64]:
        """Enters the rewards of a step.

        Args:
            rewards: By agent.
            names: All agents, in order.

        Returns:
            The price of what went beyond a budget in this step, shape (agents,).
        """
        earned = np.array([rewards.get(name, 0.0) for name in names], np.float64)
        self._return += earned
        self._discounted += self._discount * earned
        self._discount *= self._gamma
        due = self._mesh.penalty - self._penalty
        self._penalty = self._penalty + due
        return due

    @property
    def bill(self) -> Bill:
        """The bytes of the episode so far."""
        return self._bill().since(self._bill_before)

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, agents)."""
        up = _read(self._mesh).since(self._before)
        return Metrics.measured(
            self._discounted[None].copy(),
            self._return[None].copy(),
            self._steps[None].copy(),
            up,
            up.since(up),
        )

    @property
    def totals(self) -> list[Numbers]:
        """The metrics of each agent's episode so far, and the bytes charged."""
        columns = {
            **{name: values[0] for name, values in vars(self.metrics).items()},
            "charged_size": self.bill.charged,
        }
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return [Numbers(zip(columns, row, strict=True)) for row in rows]

    def told(self, left: Left) -> list[Numbers]:
        """What each agent may know of its messages.

        Args:
            left: What is left of the budget, of shape (1, agents).
        """
        mesh, before = self._mesh, self._before
        columns = (
            mesh.transmissions[Unit.MESSAGES] - before.messages[0],
            mesh.refusals[Unit.MESSAGES] - before.refused[0],
            left.messages[0],
            left.bytes[0],
        )
        told = [
            Numbers(sent=sent, refused=refused, messages_left=messages, bytes_left=size)
            for sent, refused, messages, size in zip(
                *(column.tolist() for column in columns), strict=True
            )
        ]
        if mesh.channel.acknowledgements:
            confirmed = mesh.acknowledged - before.acknowledgements[0]
            for numbers, count in zip(told, confirmed.tolist(), strict=True):
                numbers["acknowledged"] = count
        return told

    def _bill(self) -> Bill:
        return Bill.of(self._mesh, self._silent, self._steps, **self._charges)


def _read(mesh: Mesh) -> Traffic:
    """The totals of a mesh since it was opened, by sender: shape (1, agents)."""
    counts = (
        *mesh.transmissions[: Unit.HEADER],
        *mesh.refusals[: Unit.HEADER],
        mesh.by_sender(Fate.LOST),
        mesh.by_sender(Fate.EXPIRED),
        mesh.acknowledged,
    )
    return Traffic(
        np.array(counts)[:, None], mesh.penalty[None].copy(), mesh.channel.headers
    )
