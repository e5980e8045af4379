"""What agents do and see where they talk: dictionaries, or vectors of numbers."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.channel import Budget
from commenv.channel.meter import Left
from commenv.errors import UnknownNameError
from commenv.multiagent.flat import FlatActions, FlatObservations
from commenv.multiagent.inbox import Inbox
from commenv.multiagent.masks import mask_of
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.outbox import Outbox

__all__ = ["Views"]


class Views:
    """The spaces of agents that talk, and what stands in them.

    Args:
        env: The environment, without messages.
        form: Of messages.
        outbox: Says whom an agent can send to.
        inbox: Says what it has heard.
        budget: Of the channel.
        flatten: Whether actions are MultiDiscrete and observations Box.
        bins: Then, values to choose from for each number of a Box action or message.

    Raises:
        ValueError: Box actions to be flattened without bins.

    Attributes:
        action_spaces: By agent: ``"action"``, ``"message"`` and ``"to"``.
        observation_spaces: By agent: ``"observation"``, ``"budget"``, and where
            somebody is linked to it ``"inbox"``, ``"spoke"`` and ``"age"``.
    """

    def __init__(
        self,
        env: Any,
        form: MessageForm,
        outbox: Outbox,
        inbox: Inbox,
        budget: Budget,
        *,
        flatten: bool,
        bins: int | None,
    ) -> None:
        self._place = {agent: row for row, agent in enumerate(env.possible_agents)}
        self._inbox = inbox
        self._budget = budget
        self._form = form
        self._flat: dict[Any, tuple[FlatActions, FlatObservations]] | None = None
        actions = {
            agent: spaces.Dict(
                {
                    "action": env.action_space(agent),
                    # Each agent samples from a generator of its own.
                    "message": copy.deepcopy(form.space),
                    "to": spaces.Discrete(outbox.num_choices[row]),
                }
            )
            for agent, row in self._place.items()
        }
        observations = {
            agent: spaces.Dict(
                {
                    "observation": env.observation_space(agent),
                    **inbox.space(row),
                    "budget": spaces.Box(0, 1, (2,), np.float32),
                }
            )
            for agent, row in self._place.items()
        }
        self.action_spaces: dict[Any, gym.Space[Any]] = {**actions}
        self.observation_spaces: dict[Any, gym.Space[Any]] = {**observations}
        if not flatten:
            return
        self._flat = {
            agent: (
                FlatActions(actions[agent], bins, agent),
                FlatObservations(observations[agent], form.space),
            )
            for agent in self._place
        }
        for agent, (doing, seeing) in self._flat.items():
            self.action_spaces[agent] = doing.space
            self.observation_spaces[agent] = seeing.space

    def parts(self, actions: Mapping[Any, Any]) -> dict[Any, dict[str, Any]]:
        """Actions as dictionaries of action, message and recipient, by agent.

        Raises:
            UnknownNameError: No such agent.
            ValueError: An action that is not such a dictionary.
        """
        parts = {}
        for agent, action in actions.items():
            if agent not in self._place:
                raise UnknownNameError("agent", agent, self._place)
            if self._flat is not None:
                action = self._flat[agent][0].parts(action)
            elif not (
                isinstance(action, dict) and "action" in action and "to" in action
            ):
                raise ValueError(
                    f"agent {agent!r} does {action!r}; give a dictionary of 'action', "
                    "'message' and 'to'"
                )
            parts[agent] = action
        return parts

    def observations(
        self, observations: Mapping[Any, Any], clock: int, left: Left
    ) -> dict[Any, Any]:
        """What agents see: the environment's observations, and what was heard.

        Args:
            observations: By agent.
            clock: The channel's tick.
            left: What is left of the budget, of shape (1, agents).
        """
        heard, shares = self._inbox.heard(clock), self._shares(left)
        seen: dict[Any, Any] = {}
        for agent, observation in observations.items():
            place = self._place[agent]
            own = self._inbox.slices[place]
            parts = {"observation": observation, "budget": shares[place]}
            if own.stop > own.start:
                parts["inbox"] = heard.messages[own]
                parts["spoke"] = heard.spoke[own]
                parts["age"] = heard.age[own]
            seen[agent] = (
                parts if self._flat is None else self._flat[agent][1].of(parts)
            )
        return seen

    def masked(
        self, infos: Mapping[Any, Any], observations: Mapping[Any, Any]
    ) -> Mapping[Any, Any]:
        """Infos whose action masks, where there are any, are of the flat actions."""
        if self._flat is None:
            return infos
        masked = dict(infos)
        for agent, info in infos.items():
            mask = mask_of(info, observations.get(agent))
            if mask is not None:
                own = self._flat[agent][0].mask(mask)
                masked[agent] = {**info, "action_mask": own}
        return masked

    def _shares(self, left: Left) -> NDArray[np.float32]:
        """What is left of messages and bytes, as shares: shape (agents, 2)."""
        shares = np.ones((len(self._place), 2), dtype=np.float32)
        for column, (limit, now) in enumerate(
            ((self._budget.messages, left.messages), (self._budget.bytes, left.bytes))
        ):
            if limit is not None:
                shares[:, column] = now[0] / limit if limit else 0
        return shares
