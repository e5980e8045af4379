"""A star of links whose ends are agents with names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import FreeForm, Network, Receipt, Received, pack
from commenv.errors import NotResetError, UnknownNameError
from commenv.rng import Draws
from commenv.wrappers import ChannelEnv, Metrics, SendResult
from commenv.wrappers.infos import messages_of, result_of

__all__ = ["NamedStar"]


class NamedStar:
    """The messages of one trial's agents and their learner, by the agents' names.

    Args:
        channel: The instances and their links, of a single trial.
        names: Of its agents.
    """

    def __init__(self, channel: ChannelEnv, names: Sequence[str]) -> None:
        self._channel = channel
        self._rows = {agent: row for row, agent in enumerate(names)}
        self._free_form = False  # what the uplink carries since it was opened

    def send(self, agent: str, payload: Any) -> SendResult:
        """Sends one message from an agent to the learner.

        Args:
            agent: Who sends.
            payload: Records (a one-dimensional structured array), or a free-form
                payload: nested dictionaries, lists, arrays, strings and numbers. Keep
                to one of the two. No records, and None, are silence.

        Returns:
            What the agent is told.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
            TypeError: It cannot be encoded; the message says which part.
            ValueError: The same, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``.
        """
        return self.send_all({agent: payload})[agent]

    def send_all(self, payloads: Mapping[str, Any]) -> dict[str, SendResult]:
        """Sends one message each from several agents, at the same time.

        A budget of the team serves them in an order drawn anew in each round; with
        single calls of :meth:`send` the first to call is the first served.

        Args:
            payloads: By agent; see :meth:`send`. Agents that are not named are silent.

        Returns:
            What each of the named agents is told.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
            TypeError: A payload cannot be encoded; the message says whose and which
                part, and nothing is sent.
            ValueError: The same, or another form than before.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        self._check_reset()
        rows = {agent: self._row(agent) for agent in payloads}
        flat: list[Any] = [None] * len(self._rows)
        for agent, row in rows.items():
            flat[row] = payloads[agent]
        nobody = np.zeros((1, len(flat)), dtype=np.bool_)
        receipt = Receipt(nobody, nobody, self.uplink.left)
        if any(payload is not None for payload in flat):
            try:
                messages = messages_of(flat)
                receipt = self._channel.send(messages)
            except (TypeError, ValueError):
                _blame(payloads)
                raise
            self._free_form = isinstance(messages, FreeForm)
        return {agent: result_of(receipt, row) for agent, row in rows.items()}

    def receive(self) -> dict[str, list[Any] | NDArray[np.void]]:
        """The learner's side: what arrived since the last call, by sender.

        Returns:
            For every agent its free-form payloads in a list, or all its records in one
            array; empty lists before anybody has sent anything.

        Raises:
            NotResetError: Before the first reset.
        """
        arrived = self._channel.receive()
        if arrived is None:
            return {agent: [] for agent in self._rows}
        if not isinstance(arrived, Received):
            return dict(zip(self._rows, arrived, strict=True))
        ends = arrived.counts[0].cumsum()[:-1]
        parts = np.split(arrived.records, ends)
        return dict(zip(self._rows, parts, strict=True))

    def receive_records(self) -> Received | None:
        """The learner's side: the same as :meth:`receive`, with headers.

        Returns:
            The records of all agents, with counts of shape (1, agents); None before
            anybody has sent anything.

        Raises:
            NotResetError: Before the first reset.
            ValueError: The channel carries free-form payloads.
        """
        self._check_reset()
        if self._free_form:
            raise ValueError(
                "the uplink carries free-form payloads; get them with receive()"
            )
        arrived = self._channel.receive()
        assert arrived is None or isinstance(arrived, Received)
        return arrived

    def broadcast(self, parameters: NDArray[np.void]) -> dict[str, SendResult]:
        """The learner's side: sends one record to all agents.

        Args:
            parameters: A structured array of one record.

        Returns:
            By agent, whether the record to it was accepted, and what is left.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
            BudgetExceededError: Under ``exceed="raise"``; nothing is sent then.
        """
        receipt = self._channel.broadcast(_one(parameters))
        return {agent: result_of(receipt, row) for agent, row in self._rows.items()}

    def receive_broadcast(self, agent: str) -> np.void | None:
        """The last record that an agent received.

        Returns:
            One record. An agent that has not received any yet holds what
            :meth:`initialize_parameters` gave it, or else zeros; None before the first
            broadcast has reached anybody and nothing was held.

        Raises:
            NotResetError: Before the first reset.
            UnknownNameError: No such agent.
        """
        row = self._row(agent)
        received = self._channel.receive_broadcast()
        return None if received is None else received[0, row].copy()

    def initialize_parameters(self, parameters: NDArray[np.void]) -> None:
        """Lets every agent hold a record that it did not have to be sent.

        An algorithm's start is known on both sides before the first message, as its
        settings are; it costs nothing.

        Args:
            parameters: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
        """
        self._channel.initialize_parameters(_one(parameters))

    def charge_shared(self, records: NDArray[np.void]) -> None:
        """Charges the downlink with what every agent was told beforehand.

        It passes neither budget nor link, since nothing can be sent without it.

        Args:
            records: A structured array of one record.

        Raises:
            NotResetError: Before the first reset.
            ValueError: Not one record.
        """
        self._channel.charge_shared(_one(records))

    @property
    def metrics(self) -> Metrics:
        """The metrics of the current episode so far: arrays of shape (1, agents).

        Raises:
            NotResetError: Before the first reset.
        """
        return self._channel.metrics

    @property
    def episode(self) -> int:
        """The current episode, counted from 0; -1 before the first reset."""
        return self._channel.episode

    @property
    def draws(self) -> Draws:
        """The random draws of the trial and its agents.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.draws

    @property
    def uplink(self) -> Network:
        """From the agents to the learner, with its ledger and what is left of a budget.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.uplink

    @property
    def downlink(self) -> Network:
        """From the learner to the agents, with its ledger.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._channel.downlink

    def _row(self, agent: str) -> int:
        if agent not in self._rows:
            raise UnknownNameError("agent", agent, self._rows)
        return self._rows[agent]

    def _check_reset(self) -> None:
        if self._channel.episode < 0:
            raise NotResetError("the environment was not reset; call reset() first")


def _one(record: NDArray[np.void]) -> NDArray[np.void]:
    """One record as an array of one."""
    records = np.atleast_1d(record)
    if records.shape != (1,):
        raise ValueError(f"records of shape {records.shape}; give one record")
    return records


def _blame(payloads: Mapping[str, Any]) -> None:
    """Raises again what is wrong with a single payload, and says whose it is."""
    for agent, payload in payloads.items():
        try:
            if isinstance(messages_of([payload]), FreeForm):
                pack(payload)
        except TypeError as error:
            raise TypeError(f"{agent}: {error}") from None
        except ValueError as error:
            raise ValueError(f"{agent}: {error}") from None
