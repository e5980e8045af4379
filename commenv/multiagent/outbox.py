"""What agents say and to whom, read from their actions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from operator import index, itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages
from commenv.errors import UnknownNameError
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.topology import Links

__all__ = ["EVERYBODY", "SILENCE", "Outbox", "Said"]

SILENCE = 0
EVERYBODY = 1
_FIRST_NEIGHBOUR = 2


class Said(NamedTuple):
    """What agents say in one step.

    Attributes:
        messages: Of shape (1, agents).
        leaving: bool, shape (links,): the links on which a message leaves.
        speaking: bool, shape (agents,): who says something.
    """

    messages: Messages
    leaving: NDArray[np.bool_]
    speaking: NDArray[np.bool_]


class Outbox:
    """Reads the messages, and whom they are for, out of actions.

    An agent chooses 0 for silence, 1 for everybody that it is linked to, and 2, 3 ...
    for one of them, in order. The last are missing where one transmission is heard by
    all, and where there is only one neighbour.

    Args:
        agents: All agents, in order.
        links: Between them.
        form: Of messages.

    Attributes:
        num_choices: How many choices each agent has.
    """

    def __init__(self, agents: Sequence[str], links: Links, form: MessageForm) -> None:
        self._agents = list(agents)
        self._place = {agent: place for place, agent in enumerate(agents)}
        self._links = links
        self._form = form
        bounds = np.searchsorted(links.sources, np.arange(len(agents) + 1)).tolist()
        self._slices = [slice(*pair) for pair in itertools.pairwise(bounds)]
        self.num_choices = [
            _num_choices(stop - start, links.shared)
            for start, stop in itertools.pairwise(bounds)
        ]

    def read(
        self,
        actions: Mapping[str, Mapping[str, Any]],
        live: Sequence[str],
        reachable: NDArray[np.bool_],
    ) -> Said:
        """What agents say.

        Args:
            actions: Mappings with ``"message"`` and ``"to"``, by agent. A receiver can
                also be given by its name.
            live: The agents that have not finished.
            reachable: bool, shape (links,): the links that everybody's messages take.

        Raises:
            UnknownNameError: An unknown receiver.
            ValueError: A message outside its space, or from an agent that has finished.
        """
        spoken: list[tuple[int, Any]] = []
        leaving = np.zeros(len(reachable), dtype=np.bool_)
        still_there = set(live)
        for agent, action in actions.items():
            to = action["to"]
            if not isinstance(to, str) and to == SILENCE:
                continue
            if agent not in still_there:
                raise ValueError(
                    f"agent {agent!r} has finished and cannot send; let it be silent "
                    f"(to={SILENCE}), or leave its action out"
                )
            if "message" not in action:
                raise ValueError(
                    f"agent {agent!r} sends without a message; give action['message']"
                )
            place = self._place[agent]
            self._address(place, to, reachable, leaving)
            spoken.append((place, action["message"]))
        speaking = np.zeros(len(self._agents), dtype=np.bool_)
        if not spoken:
            silent = Messages.silent(self._form.dtype, (1, len(self._agents)))
            return Said(silent, leaving, speaking)
        spoken.sort(key=itemgetter(0))
        places = [place for place, _ in spoken]
        speaking[places] = True
        names = [self._agents[place] for place in places]
        records = self._form.pack([message for _, message in spoken], names)
        return Said(
            Messages(records, speaking[None].astype(np.int64)), leaving, speaking
        )

    def _address(
        self,
        place: int,
        to: Any,
        reachable: NDArray[np.bool_],
        leaving: NDArray[np.bool_],
    ) -> None:
        """Marks the links on which an agent's message leaves."""
        if isinstance(to, str):
            leaving[self._link(place, to)] = True
            return
        own = self._slices[place]
        choice = index(to) if hasattr(to, "__index__") else -1
        if not SILENCE < choice < self.num_choices[place]:
            raise self._unknown(place, str(to))
        if choice == EVERYBODY:
            leaving[own] = reachable[own]
        else:
            leaving[own.start + choice - _FIRST_NEIGHBOUR] = True

    def _link(self, place: int, receiver: str) -> int:
        """The link to a receiver by name."""
        own = self._slices[place]
        targets = self._links.targets[own].tolist()
        target = self._place.get(receiver)
        if self._links.shared or target not in targets:
            raise self._unknown(place, receiver)
        return int(own.start + targets.index(target))

    def _unknown(self, place: int, receiver: str) -> UnknownNameError:
        own = self._links.targets[self._slices[place]].tolist()
        names = [] if self._links.shared else [self._agents[one] for one in own]
        cure = (
            f"the choices are 0 (silence) to {self.num_choices[place] - 1}; 1 is "
            "everybody that the agent is linked to"
        )
        if self._links.shared:
            cure += "; topology='complete' lets agents be addressed one by one"
        kind = f"recipient of agent {self._agents[place]!r}"
        return UnknownNameError(kind, receiver, names, cure)


def _num_choices(neighbours: int, shared: bool) -> int:
    if shared or neighbours < 2:
        return EVERYBODY + min(neighbours, 1)
    return _FIRST_NEIGHBOUR + neighbours
