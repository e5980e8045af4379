"""What every channel at work has: a clock, a budget's windows, a queue, a carriage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from commenv.channel.budget import Accounts, Left
from commenv.channel.carriage import Carriage
from commenv.channel.channel import Channel
from commenv.channel.coding import Coder
from commenv.channel.frames import HEADER_SIZE, Frames
from commenv.channel.ledger import Fate, Ledger
from commenv.channel.owner import Owner
from commenv.channel.queue import Queue
from commenv.channel.transit import Transit
from commenv.draws import Draws
from commenv.errors import BudgetExceededError, EncodingError, NotResetError

__all__ = ["Running"]


class Running:
    """The base of channels at work.

    Args:
        channel: What it is made of.
        payers: (groups, members): who has an account; under a team budget, a group.
        draws: Addressed draws of the links, the channel's own.
        coder: Of what travels on them.
        journal: Keep an entry for every single message in ``ledger.journal``.

    Attributes:
        channel: The description.
        ledger: What was sent, and what became of it.
        clock: Ticks so far.
        episode: How often an episode has begun, counted from 0; -1 before the first.
        owner: The thread that it belongs to.
    """

    def __init__(
        self,
        channel: Channel,
        payers: tuple[int, int],
        draws: Draws,
        coder: Coder,
        *,
        journal: bool,
    ) -> None:
        self.channel = channel
        self.ledger = Ledger(draws.shape, journal=journal)
        self.clock = 0
        self.episode = -1
        self.owner = Owner()
        self._episodes = np.full(draws.shape[0] * draws.shape[1], -1)
        self._coder = coder
        self._dtype: np.dtype[np.void] | None = None
        self._transit = Transit(channel.link, draws)
        self._carriage = Carriage(
            self._transit, self.ledger, coder, channel.acknowledgements
        )
        self._accounts = Accounts(
            channel.budget, payers, HEADER_SIZE if channel.headers else 0
        )
        self._queue = Queue(self._accounts)

    @property
    def left(self) -> Left:
        """What is left of the budget in the current window."""
        return self._accounts.left()

    def _advance(
        self, new_episode: bool | NDArray[np.bool_], leave: Callable[[Frames], None]
    ) -> None:
        """One tick: what is due lands, and windows that end are renewed.

        Messages that have waited too long expire, and then those that fit are sent,
        the oldest first.

        Args:
            new_episode: The tick also begins the next episode: for everybody, or bool,
                shape (links,), for some.
            leave: Sends what fits.

        Raises:
            WrongThreadError: Another thread than the channel's, unless the next episode
                begins for everybody: then the channel is the current thread's.
        """
        if new_episode is True:
            self.owner.take()
        else:
            self.owner.check()
        self.clock += 1
        begins = new_episode if isinstance(new_episode, bool) else new_episode.any()
        if begins:
            self.episode += 1
            self._episodes += new_episode
        self._carriage.land(self.clock, self._dtype)
        per = self.channel.budget.per
        if per == "step" or (per == "episode" and begins):
            whose = None
            if per == "episode" and isinstance(new_episode, np.ndarray):
                whose = new_episode
            self._accounts.renew(whose)
            wait = self.channel.budget.max_wait or 0  # None: nothing ever waits
            self._queue.end_window(self.clock + wait, whose)
        if len(self._queue):
            self._give_up(self.clock)
            for frames in self._queue.serve():
                self.ledger.land(frames.links, frames.sizes)
                leave(frames)

    def _acknowledge(self) -> None:
        """Tells the codec what has become of messages."""
        for frames, arrived in self._carriage.verdicts():
            self._coder.tell(frames, arrived)

    @contextmanager
    def _naming(self, links: int = 1) -> Iterator[None]:
        """Lets errors about a message say whose it is.

        Args:
            links: Of each sender.
        """
        try:
            yield
        except (BudgetExceededError, EncodingError) as error:
            if error.sender is None:
                raise
            named = type(error)(f"{self._whose(error.sender * links)}: {error}")
            named.sender = error.sender
            raise named from error

    def _whose(self, sender: int) -> str:
        """Who a sender is, in words."""
        raise NotImplementedError

    def _give_up(self, clock: int | None) -> None:
        """Enters what has waited too long; without a clock, all that waits."""
        for frames in self._queue.expire(clock):
            self.ledger.land(frames.links, frames.sizes)
            self._carriage.fail(Fate.EXPIRED, frames)

    def _check_begun(self) -> None:
        self.owner.check()
        if self.episode < 0:
            raise NotResetError(
                "a message before the first episode; reset the environment, or call "
                "tick(new_episode=True), first"
            )
