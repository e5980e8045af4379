"""A budgeted, metered channel between the agents of any PettingZoo environment."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from pettingzoo.utils import BaseParallelWrapper

from commenv.channel import (
    Budget,
    Channel,
    Codec,
    Identity,
    Link,
    Network,
    PerfectLink,
    shapes,
)
from commenv.channel.ledger import Ledger
from commenv.errors import NotResetError, UnknownNameError
from commenv.multiagent.accounts import TeamAccounts
from commenv.multiagent.bill import Bill
from commenv.multiagent.checked import CheckedAnswers
from commenv.multiagent.contract import (
    as_parallel,
)
from commenv.multiagent.inbox import Inbox
from commenv.multiagent.message_form import MessageForm
from commenv.multiagent.outbox import Outbox
from commenv.multiagent.own_channel import warn_of_own_channel
from commenv.multiagent.topology import Topology, distances_of, links_of
from commenv.multiagent.views import Views
from commenv.seeds import integer_seed
from commenv.snapshots import Snapshot
from commenv.wrappers.metrics import Metrics

__all__ = ["CommunicationBudget"]

Positions = Callable[[Any], Mapping[str, Any]]
_Steps = tuple[
    dict[str, Any], dict[str, float], dict[str, bool], dict[str, bool], dict[str, Any]
]


class CommunicationBudget(BaseParallelWrapper[str, Any, Any]):
    """Lets the agents of a parallel environment send each other messages as they act.

    An agent's action becomes a dictionary: ``"action"``, that of the environment;
    ``"message"``, an element of ``message_space``; and ``"to"``, whom it is for: 0 is
    silence, 1 everybody that the agent is linked to, 2, 3 ... one of them, in the order
    of ``possible_agents`` (a name will do as well). Its observation becomes a
    dictionary: ``"observation"``, the environment's; ``"inbox"``, the last message from
    each agent that is linked to it; ``"spoke"``, which of them arrived with this step;
    ``"age"``, steps since each was sent, -1 where none has ever arrived; and
    ``"budget"``, the shares of messages and bytes that are left, 1 without a limit. An
    agent to which nobody is linked has no inbox.

    A message that is sent with the action of a step is in the observations after it, if
    the link does not delay it. ``infos[agent]["comm"]`` says what the sender may know:
    ``sent`` and ``refused``, transmissions of the episode so far, ``messages_left`` and
    ``bytes_left``, and with acknowledgements ``acknowledged``, copies that arrived.
    ``infos[agent]["episode_comm"]`` holds the metrics of an episode that is over, by
    name (see :class:`commenv.Metrics`), and ``charged_size``, the bytes of the bill: in
    the step that ends it, and once more in the reset that follows. At the first reset
    they are all 0.

    Where names are integers, ``"to"`` is a name before it is a place in this order: see
    :class:`commenv.multiagent.outbox.Outbox`. Names may be tuples, too.

    What an environment has told under ``"comm"`` or ``"episode_comm"`` itself, as that
    of :func:`commenv.parallel_env` does for messages to the learner, is under
    ``"inner_comm"`` and ``"inner_episode_comm"``.

    A budget counts transmissions of its sender: with ``"broadcast"`` one for each
    message, otherwise one for each receiver. ``exceed="penalize"`` takes its price off
    the sender's reward, and ``"terminate"`` ends the episode for everybody. What is
    under way when an episode ends expires. With a budget of nothing, the environment
    behaves as it would without the wrapper.

    The channel belongs to the thread that has reset it; see
    :class:`commenv.channel.Network`.

    Agents of some environments talk by their own actions, past any budget: those of
    MPE2's ``simple_speaker_listener``, ``simple_reference``, ``simple_crypto`` and
    ``simple_world_comm`` say a symbol in each step. A warning names them. To meter what
    they say, let the symbol in their action be 0 always, which tells nothing, and send
    it as a message of as many symbols: the speaker of three symbols does
    ``{"action": 0, "message": symbol, "to": 1}`` with ``message_space=Discrete(3)``,
    and who both moves and speaks gives the move alone, 0 to 4, as the action.

    Args:
        env: A parallel environment, or an AEC environment that can be made one.
        message_space: Box, Discrete, MultiDiscrete or MultiBinary.
        topology: Who can send to whom; see :func:`commenv.multiagent.links_of`. Where a
            function says so, "everybody" are those who are linked when a message is
            sent, and a copy is lost if its pair is not linked when it arrives.
        budget: How much may be sent; without limit by default.
        link: What may happen on the way; nothing by default.
        codec: How messages become bytes; as they stand in memory by default.
        flatten: Give MultiDiscrete actions and Box observations, for libraries that
            need them: see :class:`commenv.multiagent.flat.FlatActions` and
            :class:`commenv.multiagent.flat.FlatObservations`. An ``"action_mask"`` that
            the environment gives, in an info or an observation, is in the info, as the
            mask of the flat action.
        bins: With ``flatten``, values to choose from for each number of a Box action
            or message.
        headers: Charge the 16-byte headers, and count them against byte budgets.
        acknowledgements: Have arrivals confirmed, so that codecs know of them, and
            charge 16 bytes for each.
        silence: Charge a header for each step in which an agent says nothing.
        polls: Charge a header for asking each agent in each step.
        positions: Where agents are, for links with a range: takes the environment and
            returns coordinates by agent.
        gamma: The discount of the metric ``reward``, in [0, 1].
        journal: Keep an entry for every message in ``ledger.journal``.

    Raises:
        ContractError: The environment breaks PettingZoo's contract.
        EnvironmentFaultError: It says that its rewards are vectors.
        ValueError: A message space of another kind, a topology with agents that do not
            exist, or Box actions to be flattened without bins.
        TypeError: A codec that cannot encode such messages.
    """

    def __init__(
        self,
        env: Any,
        *,
        message_space: gym.Space[Any],
        topology: Topology = "broadcast",
        budget: Budget | None = None,
        link: Link | None = None,
        codec: Codec | None = None,
        flatten: bool = False,
        bins: int | None = None,
        headers: bool = False,
        acknowledgements: bool = False,
        silence: bool = False,
        polls: bool = False,
        positions: Positions | None = None,
        gamma: float = 0.9,
        journal: bool = False,
    ) -> None:
        super().__init__(as_parallel(env))
        warn_of_own_channel(self.env)
        agents = list(self.env.possible_agents)
        self._names = agents
        self._place = {agent: place for place, agent in enumerate(agents)}
        self._links = links_of(topology, agents)
        self._form = MessageForm(message_space)
        self.channel = Channel(
            codec or Identity(),
            budget or Budget(),
            link or PerfectLink(),
            headers=headers,
            acknowledgements=acknowledgements,
            medium="broadcast" if self._links.shared else "unicast",
        )
        self._checker = CheckedAnswers(self.env)
        self._positions = positions
        self._journal = journal
        self._outbox = Outbox(agents, self._links, self._form)
        self._inbox = Inbox(self._links, len(agents), self._form)
        self._accounts = TeamAccounts(agents, gamma, silence=silence, polls=polls)
        self._views = Views(
            self.env,
            self._form,
            self._outbox,
            self._inbox,
            self.channel.budget,
            flatten=flatten,
            bins=bins,
        )
        self._open(0)
        self._begun = self._over = False

    @property
    def agents(self) -> list[str]:
        """The agents that have not finished."""
        return [] if self._over else list(self.env.agents)

    @property
    def network(self) -> Network:
        """The links at work."""
        return self._network

    @property
    def ledger(self) -> Ledger:
        """What became of every copy, one entry for each link."""
        return self._network.ledger

    @property
    def bill(self) -> Bill:
        """The bytes of the episode so far, ideal and charged.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._accounts.bill

    @property
    def metrics(self) -> Metrics:
        """The metrics of the episode so far, of shape (1, agents).

        Messages and bytes are transmissions of their senders; ``lost`` and ``expired``
        count copies. Nothing goes down. ``total_size`` holds no silence and no polls.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return self._accounts.metrics

    def observation_space(self, agent: str) -> gym.Space[Any]:
        """What an agent sees; always the same object."""
        self._check_agent(agent)
        return self._views.observation_spaces[agent]

    def action_space(self, agent: str) -> gym.Space[Any]:
        """What an agent does; always the same object."""
        self._check_agent(agent)
        return self._views.action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """Begins the next episode; with a seed, of the channel's draws too.

        A seed empties the ledger and fills the budgets. Without one at the very first
        reset, one is drawn from the operating system.

        Raises:
            ContractError: The environment breaks PettingZoo's contract.
            EnvironmentFaultError: It returned what cannot be used.
        """
        seed = None if seed is None else integer_seed(seed)
        closing = self._accounts.totals if self._begun else None
        result = self.env.reset(seed=seed, options=options)
        observations, infos = self._checker.reset(result)
        if seed is not None or not self._begun:
            self._open(secrets.randbits(63) if seed is None else seed)
            self._begun = True
        self._begin_episode()
        closing = closing or self._accounts.totals
        infos = self._views.masked(infos, observations)
        return self._seen(observations), self._accounts.infos(infos, closing, infos)

    def step(self, actions: Mapping[str, Any]) -> _Steps:
        """Lets the environment take a step, and sends messages along with it.

        Both happen, or neither: where a message cannot be sent or the environment
        raises an error, nothing is sent or charged and the clock stands still. When
        every agent has finished, a step without actions returns five empty
        dictionaries.

        Raises:
            NotResetError: Before the first reset, or actions when every agent has
                finished.
            UnknownNameError: An unknown agent or recipient.
            ValueError: An action that is not a dictionary of the three parts, a message
                outside its space, or one from an agent that has finished.
            BudgetExceededError: Under ``exceed="raise"``.
            ContractError: The environment breaks PettingZoo's contract.
            EnvironmentFaultError: It returned what cannot be used.
        """
        self._check_reset()
        self._network.check_thread()
        live = self.agents
        if not live:
            if actions:
                raise NotResetError("every agent has finished; call reset() first")
            return {}, {}, {}, {}, {}  # as PettingZoo's own environments answer
        parts = self._views.parts(actions)
        present = np.zeros(len(self._names), dtype=np.bool_)
        present[[self._place[agent] for agent in live]] = True
        open_links = self._links.open_now(self.env, present)
        distances = None
        if self._positions is not None:
            positions = self._positions(self.env)
            distances = distances_of(self._links, positions, self._names)
        said = self._outbox.read(parts, live, open_links)
        self._network.check(said.messages, said.leaving)
        # The world goes first: its step cannot be undone, and what can fail about the
        # messages has been tried.
        result = self.env.step({agent: part["action"] for agent, part in parts.items()})
        observations, rewards, terminations, truncations, infos = self._checker.step(
            live, result
        )
        if distances is not None:
            self._network.set_distances(distances)
        self._network.set_active_links(open_links)
        self._network.tick()
        if len(said.messages.records):
            receipt = self._network.send(said.messages, said.leaving)
            self._over = bool(np.count_nonzero(receipt.ended))
        rewards = self._accounts.paid(rewards, present, said.speaking)
        if self._over:
            terminations = dict.fromkeys(terminations, True)
        self._inbox.take(self._network.deliveries())
        infos = self._views.masked(infos, observations)
        ended = {
            agent
            for flags in (terminations, truncations)
            for agent, flag in flags.items()
            if flag
        }
        infos = self._accounts.infos(
            infos, self._accounts.totals if ended else [], ended
        )
        return self._seen(observations), rewards, terminations, truncations, infos

    def snapshot(self) -> Snapshot:
        """What the wrapper remembers, in the middle of an episode or between two.

        The environment inside is not in it: whoever goes on from a snapshot puts an
        environment into the same state first. It can be kept as a file by
        :func:`commenv.study.storage.checkpoint.packed`.

        Raises:
            NotResetError: Before the first reset.
        """
        self._check_reset()
        return {
            "seed": self._seed,
            "over": self._over,
            "network": self._network.snapshot(),
            "inbox": self._inbox.snapshot(),
            "accounts": self._accounts.snapshot(),
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Goes on where another one was, to the bit.

        Args:
            snapshot: What that one gave; it was made with the same arguments, and the
                environment inside stands where that one's stood.

        Raises:
            ResultsError: It is not a snapshot of such a wrapper.
        """
        self._open(snapshot["seed"])
        self._network.restore(snapshot["network"])
        self._inbox.restore(snapshot["inbox"])
        self._accounts.restore(snapshot["accounts"])
        self._over, self._begun = snapshot["over"], True

    def _open(self, seed: int) -> None:
        """Opens the links, with empty ledgers and full budgets."""
        self._seed = seed
        self._network = shapes.mesh(
            self.channel,
            seed,
            self._names,
            self._links.sources,
            self._links.targets,
            dtype=self._form.dtype,
            journal=self._journal,
        )
        self._accounts.open(self._network)

    def _begin_episode(self) -> None:
        self._network.abandon()
        self._network.tick(new_episode=True)
        self._inbox.clear()
        self._accounts.begin()
        self._over = False

    def _seen(self, observations: Mapping[str, Any]) -> dict[str, Any]:
        """What agents see now."""
        network = self._network
        return self._views.observations(observations, network.clock, network.left)

    def _check_agent(self, agent: str) -> None:
        if agent not in self._place:
            raise UnknownNameError("agent", agent, self._names)

    def _check_reset(self) -> None:
        if not self._begun:
            raise NotResetError("the environment was not reset; call reset() first")
