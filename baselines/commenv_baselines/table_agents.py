"""Agents that act on tables: what DQL, EBCDQL and DAVIA have in common."""

from __future__ import annotations

import logging
from abc import abstractmethod
from functools import lru_cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Versions
from commenv.envs.batch import TabularBatch
from commenv.envs.flat import thresholds
from commenv.learning import Agents, Problem, Transition
from commenv.rng import ENVIRONMENT, UniformStream
from commenv.wrappers import Instances
from commenv_baselines.tabular import STEP, PolicyTable, Trajectories

__all__ = ["TableAgents"]

_logger = logging.getLogger("commenv")

# Loading compiled code takes as long as some hundred rounds of 500 agents without it.
WORTH_COMPILING = 200_000
_AS_MANY_AS_A_ROUND = 500
_MOST_TO_BEGIN_WITH = 2**18


class TableAgents(Agents):
    """Agents that draw their actions from tables, one for each version they hold.

    Where the world is a table too, nobody watches the steps and Numba is installed, a
    round is played by :mod:`commenv_baselines.compiled`, and otherwise step by step;
    both give the same numbers, bit for bit.

    Args:
        problem: The task.
        parameters: What is received: a dtype with one field.
    """

    def __init__(self, problem: Problem, parameters: np.dtype[np.void]) -> None:
        assert parameters.names is not None
        self._problem = problem
        self._dtype = parameters
        self._field = parameters.names[0]
        self._num_rows = problem.shape[0] * problem.shape[1]
        self._trajectories = Trajectories(self._num_rows)
        self._room = 1
        self._episode = 0
        self._uniforms: UniformStream | None = None
        self._world: tuple[TabularBatch, Any] | None = None

    @property
    def memory(self) -> dict[str, NDArray[Any]]:
        """What each agent holds, made when it is asked for: (trials, agents, ...)."""
        return {self._field: self._versions.expanded()[self._field]}

    @memory.setter
    def memory(self, memory: dict[str, NDArray[Any]]) -> None:
        values = memory[self._field]
        records = np.empty(self._problem.shape, self._dtype)
        records[self._field] = values
        self._follow(Versions.of_agents(records))

    def begin(self, episode: int) -> None:
        """Starts an empty trajectory and the episode's exploration draws."""
        self._trajectories.clear()
        self._episode = episode
        self._uniforms = None

    def receive(self, parameters: NDArray[np.void]) -> None:
        """Takes the parameters that each agent holds."""
        self._follow(Versions.of_agents(parameters))

    def receive_versions(self, versions: Versions) -> None:
        """Takes the parameters; policies are computed once for each version."""
        self._follow(versions)

    def act(self, observations: NDArray[Any], active: NDArray[np.bool_]) -> NDArray:
        """Draws from the policies' tables."""
        if self._uniforms is None:
            self._uniforms = self._problem.draws.stream("policy", self._episode)
        return self._policy.draw(observations, active, self._uniforms)

    def observe(self, transition: Transition) -> None:
        """Records the step."""
        self._trajectories.add(transition)

    def play(self, env: Instances, observations: NDArray[Any]) -> None:
        """Every agent runs one whole episode."""
        compiled = self._compiled(env)
        if compiled is None:
            super().play(env, observations)
        else:
            self._play_compiled(compiled, env, observations)

    def on_receipt(self, accepted: NDArray[np.bool_]) -> None:
        """Forgets the trajectory: what was to be sent of it has been."""
        self._trajectories.clear()

    @abstractmethod
    def _follow(self, versions: Versions) -> None:
        """Takes parameters; calls :meth:`_act_on`."""

    def _act_on(self, versions: Versions, policies: NDArray[np.float64]) -> None:
        """Acts from now on with the policies of the versions.

        Args:
            versions: The parameters, and who holds which.
            policies: float64, shape (versions, states, actions).
        """
        self._versions = versions
        self._held: NDArray[np.intp] = versions.held.ravel()
        self._policy = PolicyTable(policies, self._held)

    def _compiled(self, env: Instances) -> ModuleType | None:
        """The compiled code, where it does what the steps would do, and is worth it."""
        rounds = self._problem.num_episodes * (self._num_rows + _AS_MANY_AS_A_ROUND)
        fits = (
            rounds >= WORTH_COMPILING
            and type(self).act is TableAgents.act
            and type(self).observe is TableAgents.observe
            and type(env) is Instances
            and type(env.world) is TabularBatch
            and env.world.max_episode_steps is not None
            and env.observer is None
            and bool(env.active.all())
        )
        return _load_compiled() if fits else None

    def _play_compiled(
        self, compiled: Any, env: Instances, starts: NDArray[np.int64]
    ) -> None:
        """Lets the compiled code play, with more room for records until it is done."""
        world = env.world
        assert isinstance(world, TabularBatch)
        mdp, draws, count = world.mdp, self._problem.draws, self._num_rows
        world_keys = env.draws.keys(ENVIRONMENT)[: 0 if mdp.deterministic else count]
        dynamics = self._dynamics_of(compiled, world)
        out = compiled.Episodes(
            np.empty(self._room, STEP),
            np.empty(count, dtype=np.int64),
            np.empty(count),
            np.empty(count),
        )
        row = end = 0
        while True:
            row, end = compiled.play(
                dynamics,
                compiled.Tables(self._policy.thresholds, self._held),
                starts,
                draws.keys("policy"),
                world_keys,
                self._episode,
                env.gamma,
                (row, end),
                out,
            )
            if row == count:
                break
            whole = 1.1 * end * count / max(row, 1)  # if the others last as long
            more = np.empty(max(int(whole), 2 * len(out.records)), STEP)
            more[:end].view(np.uint8)[:] = out.records[:end].view(np.uint8)
            out = out._replace(records=more)
        self._room = min(end + end // 8, _MOST_TO_BEGIN_WITH)
        self._trajectories.take(out.records[:end], out.lengths)
        shape = env.shape
        env.measure(
            out.discounted.reshape(shape),
            out.returns.reshape(shape),
            out.lengths.reshape(shape),
        )

    def _dynamics_of(self, compiled: Any, world: TabularBatch) -> Any:
        """A world's tables and time limit, laid out once."""
        if self._world is None or self._world[0] is not world:
            mdp, limit = world.mdp, world.max_episode_steps
            cuts = thresholds(mdp.probability)
            tables = (cuts, mdp.next_state, mdp.reward, mdp.terminated)
            self._world = world, compiled.Dynamics(*tables, limit)
        return self._world[1]


@lru_cache(maxsize=1)
def _load_compiled() -> ModuleType | None:
    try:
        from commenv_baselines import compiled
    except ImportError:
        _logger.info(
            "Numba is not installed, so tabular agents act step by step; the extra "
            '"baselines" makes them several times as fast, with the same numbers'
        )
        return None
    _logger.debug("tabular agents play compiled")
    return compiled
