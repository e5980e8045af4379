"""What agents say and to whom, read from their actions."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from numbers import Integral
from operator import index, itemgetter
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Messages
from commenv.errors import UnknownNameError
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.topology import Links

__all__ = ["SILENCE", "Outbox", "Said"]

SILENCE = 0


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

    An agent chooses 0 for silence, 1 for all agents that it is linked to, and 2, 3 ...
    for one of them, in order. The last are missing where one transmission is heard by
    all, and where there is only one neighbour.

    Where names are integers, a choice that is the name of a neighbour is that
    neighbour, so that it means the same for every sender. 0 is silence all the same;
    the choices that are left are those above, in order: all agents first, and then the
    neighbours that no choice names.

    Args:
        agents: All agents, in order; names of any hashable type.
        links: Between them.
        form: Of messages.

    Attributes:
        num_choices: How many choices each agent has.
    """

    def __init__(self, agents: Sequence[Any], links: Links, form: MessageForm) -> None:
        self._agents = list(agents)
        self._place = {agent: place for place, agent in enumerate(agents)}
        self._sources = links.sources
        self._shared = links.shared
        self._form = form
        self._silence = Messages.silent(form.dtype, (1, len(self._agents)))
        bounds = np.searchsorted(links.sources, np.arange(len(agents) + 1)).tolist()
        self._own = [slice(*pair) for pair in itertools.pairwise(bounds)]
        self._links = [
            {} if links.shared else self._by_name(own, links) for own in self._own
        ]
        self._choices = [
            _choices(own, by_name)
            for own, by_name in zip(self._own, self._links, strict=True)
        ]
        self.num_choices = [len(choices) for choices in self._choices]

    def read(
        self,
        actions: Mapping[str, Mapping[str, Any]],
        live: Sequence[str],
        reachable: NDArray[np.bool_],
    ) -> Said:
        """What agents say.

        Args:
            actions: Mappings with ``"message"`` and ``"to"``, by agent. A choice may be
                an array of one integer; a receiver can also be given by its name.
            live: The agents that have not finished.
            reachable: bool, shape (links,): the links that messages to all take.

        Raises:
            UnknownNameError: An unknown receiver.
            ValueError: A message outside its space, or from an agent that has finished.
        """
        spoken: list[tuple[int, Any]] = []
        to_all: list[int] = []
        links: list[int] = []
        still_there = set(live)
        for agent, action in actions.items():
            to = action["to"]
            if type(to) is not int:
                to = _as_choice(to)
            if isinstance(to, int) and to == SILENCE:
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
            link = self._link(place, to)
            if link is None:
                to_all.append(place)
            else:
                links.append(link)
            spoken.append((place, action["message"]))
        leaving = np.zeros(len(reachable), dtype=np.bool_)
        speaking = np.zeros(len(self._agents), dtype=np.bool_)
        if not spoken:
            return Said(self._silence, leaving, speaking)
        speaking[to_all] = True
        np.logical_and(speaking[self._sources], reachable, out=leaving)
        leaving[links] = True
        spoken.sort(key=itemgetter(0))
        places = [place for place, _ in spoken]
        speaking[places] = True
        names = [self._agents[place] for place in places]
        records = self._form.pack([message for _, message in spoken], names)
        messages = Messages.trusted(records, speaking[None].astype(np.int64))
        return Said(messages, leaving, speaking)

    def _link(self, place: int, to: Any) -> int | None:
        """The link on which an agent's message leaves; None for all of its links."""
        choices = self._choices[place]
        if isinstance(to, int) and 0 < to < len(choices):
            return choices[to]
        return self._named(place, to)

    def _by_name(self, own: slice, links: Links) -> dict[Any, int]:
        """An agent's links by the names of their receivers, in order."""
        targets = links.targets[own].tolist()
        return {self._agents[one]: own.start + row for row, one in enumerate(targets)}

    def _named(self, place: int, receiver: Any) -> int:
        """The link to a receiver by name."""
        links = self._links[place]
        try:
            # 1.0 would be found under the name 1.
            known = receiver in links and not isinstance(receiver, (float, np.inexact))
        except TypeError:  # not hashable, so not a name
            known = False
        if not known:
            raise self._unknown(place, receiver)
        return links[receiver]

    def _unknown(self, place: int, receiver: Any) -> UnknownNameError:
        choices = self._choices[place]
        cure = f"the choices are 0 (silence) to {len(choices) - 1}"
        if None in choices[1:]:
            to_all = choices.index(None, 1)
            cure += f"; {to_all} is all agents that the agent is linked to"
        if self._shared:
            cure += "; topology='complete' lets agents be addressed one by one"
        kind = f"recipient of agent {self._agents[place]!r}"
        return UnknownNameError(kind, receiver, self._links[place], cure)


def _choices(own: slice, by_name: Mapping[Any, int]) -> list[int | None]:
    """The link that each choice of an agent stands for; None for all of its links.

    Args:
        own: The agent's links.
        by_name: The same, where one can be addressed alone.
    """
    if own.start == own.stop:
        return [None]
    links = list(by_name.values()) if len(by_name) > 1 else []
    choices: list[int | None] = [None] * (2 + len(links))  # silence, all, each
    named = {
        int(name): link
        for name, link in by_name.items()
        if isinstance(name, Integral) and links and 0 < int(name) < len(choices)
    }
    rest = iter([None, *(link for link in links if link not in named.values())])
    for choice in range(1, len(choices)):
        choices[choice] = named[choice] if choice in named else next(rest)
    return choices


def _as_choice(to: Any) -> Any:
    """An integer where a recipient is one, or an array of one; else as it is."""
    if isinstance(to, np.ndarray) and to.size == 1:
        to = to.item()
    if isinstance(to, str) or not hasattr(to, "__index__"):
        return to
    try:
        return index(to)
    except TypeError:  # an array of many
        return to
