"""Who is linked to whom in a network, and what senders are told."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from commenv.channel.meter import Left
from commenv.errors import BudgetExceededError, EncodingError
from commenv.rng import Draws

__all__ = ["Receipt", "Wiring"]


class Wiring(NamedTuple):
    """Directed links, the same in every copy of a network, such as a trial.

    Attributes:
        links: Addressed draws, one for each link: of shape (copies, links).
        senders: The same for each sender: of shape (copies, senders).
        sources: Integers, shape (links,), ascending: the sender of each link of a copy;
            None where every link has a sender of its own.
        by_sender: Whether a sender pays for all copies of its message together, and a
            budget takes all of them or none; else every link has a budget of its own.
        numbers: uint32, shape (copies * senders,): what headers call the senders.
        name: Says who a flat sender is, in words.
    """

    links: Draws
    senders: Draws
    sources: NDArray[np.intp] | None
    by_sender: bool
    numbers: NDArray[np.uint32]
    name: Callable[[int], str]

    @property
    def flat_senders(self) -> NDArray[np.intp] | None:
        """The flat sender of each link of all copies; None as in ``sources``."""
        if self.sources is None:
            return None
        copies, senders = self.senders.shape
        return (np.arange(copies)[:, None] * senders + self.sources).ravel()

    @property
    def flat_payers(self) -> NDArray[np.intp] | None:
        """Who pays for what leaves on each link; None where the link itself does."""
        return self.flat_senders if self.by_sender else None

    @property
    def payers(self) -> tuple[int, int]:
        """(copies, payers)."""
        return self.links.shape if self.flat_payers is None else self.senders.shape

    def by_senders(
        self, accepted: NDArray[np.bool_], leaving: NDArray[np.bool_] | None
    ) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Whose message was accepted, and on how many links; with senders of several.

        Args:
            accepted: bool, shape (copies, payers).
            leaving: bool, shape (links,) of all copies: the links on which messages
                leave; None is all.

        Returns:
            bool, shape (copies, senders), and int64, shape (copies * senders,).
        """
        senders = self.flat_senders
        assert senders is not None
        sends = np.ones(len(senders), np.bool_) if leaving is None else leaving
        if not self.by_sender:  # a message is accepted where one of its copies is
            sends = sends & accepted.ravel()
            accepted = np.zeros(self.senders.shape, dtype=np.bool_)
            accepted.reshape(-1)[senders[sends.nonzero()[0]]] = True
        copies = np.bincount(senders[sends.nonzero()[0]], minlength=accepted.size)
        return accepted, copies

    def blame(self, error: BudgetExceededError | EncodingError) -> None:
        """Lets an error about a message say whose it is, in words."""
        if (sender := error.sender) is None:
            return
        budgets_by_link = isinstance(error, BudgetExceededError) and not self.by_sender
        if budgets_by_link and (senders := self.flat_senders) is not None:
            sender = int(senders[sender])
        error.args = (f"{self.name(sender)}: {error}",)


class Receipt(NamedTuple):
    """What senders are told; whether a link lost a message is not in it.

    Arrays have one entry for everyone who pays: shape (copies, payers), which in a star
    is (trials, agents).

    Attributes:
        accepted: bool: the message was sent, or waits to be. False where it was
            refused, and where there was none.
        ended: bool: a budget with ``exceed="terminate"`` ends this sender's episode.
        left: What is left of the budget.
    """

    accepted: NDArray[np.bool_]
    ended: NDArray[np.bool_]
    left: Left
