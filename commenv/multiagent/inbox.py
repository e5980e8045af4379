"""What agents have heard of each other."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from commenv.channel import Delivered
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.topology import Links
from commenv.snapshots import Resumable, Snapshot, arrays_of

__all__ = ["Heard", "Inbox"]

_LONG_AGO = np.iinfo(np.int32).max


class Heard(NamedTuple):
    """What was heard on each link, links ordered by receiver and then by sender.

    Attributes:
        messages: Shape (links, ...): the last message.
        spoke: int8, shape (links,): 1 where one arrived in this step.
        age: int32, shape (links,): steps since the last message was handed to the
            channel, 0 for one of this step; -1 where none has ever arrived.
    """

    messages: NDArray
    spoke: NDArray[np.int8]
    age: NDArray[np.int32]


class Inbox(Resumable):
    """Keeps the last message of every link, so that late ones never hide newer ones.

    Args:
        links: Between the agents.
        num_agents: How many there are.
        form: Of messages.

    Attributes:
        slices: Each agent's part of :class:`Heard`.
    """

    def __init__(self, links: Links, num_agents: int, form: MessageForm) -> None:
        self._form = form
        by_receiver = np.lexsort((links.sources, links.targets))
        self._row = np.empty_like(by_receiver)  # of each link, in what is heard
        self._row[by_receiver] = np.arange(len(by_receiver))
        ordered = links.targets[by_receiver]
        bounds = np.searchsorted(ordered, np.arange(num_agents + 1)).tolist()
        self.slices = [
            slice(bounds[place], bounds[place + 1]) for place in range(num_agents)
        ]
        self.clear()

    def clear(self) -> None:
        """Forgets everything."""
        count = len(self._row)
        self._messages = np.repeat(self._form.blank[None], count, axis=0)
        self._sent = np.full(count, -1, dtype=np.int64)
        self._spoke = np.zeros(count, dtype=np.int8)

    def take(self, deliveries: Iterable[Delivered]) -> None:
        """Takes what arrived in this step; messages are numbered by the tick."""
        self._spoke[:] = 0
        for delivered in deliveries:
            rows, records = self._row[delivered.packets.links], delivered.records
            assert records is not None
            values = self._form.unpack(records)
            self._spoke[rows] = 1
            sent = delivered.packets.headers["sequence"].astype(np.int64)
            newer = sent >= self._sent[rows]
            if np.count_nonzero(newer) < len(rows):
                rows, values, sent = rows[newer], values[newer], sent[newer]
            self._messages[rows] = values
            self._sent[rows] = sent

    def heard(self, clock: int) -> Heard:
        """What has been heard, at a tick; the arrays are the caller's to keep."""
        age = np.minimum(clock - self._sent, _LONG_AGO).astype(np.int32)
        age[self._sent < 0] = -1
        return Heard(self._messages.copy(), self._spoke.copy(), age)

    def snapshot(self) -> Snapshot:
        """What has been heard on every link, and when it was sent."""
        return {"messages": self._messages, "sent": self._sent, "spoke": self._spoke}

    def restore(self, snapshot: Snapshot) -> None:
        """Takes over what another inbox has heard."""
        like = {"messages": self._messages, "sent": self._sent, "spoke": self._spoke}
        heard = arrays_of(snapshot, "the inbox", like)
        self._messages, self._sent, self._spoke = heard.values()

    def space(self, place: int) -> dict[str, spaces.Space]:
        """The spaces of what an agent sees; none where it has no senders."""
        own = self.slices[place]
        if not (count := own.stop - own.start):
            return {}
        return {
            "inbox": self._form.inbox(count),
            "spoke": spaces.MultiBinary(count),
            "age": spaces.Box(-1, _LONG_AGO, (count,), np.int32),
        }
