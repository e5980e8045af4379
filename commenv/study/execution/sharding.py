"""A block whose agents are spread over shards, which may run anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from commenv.channel import Sender
from commenv.draws import WorldDraws
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.learning import Learner
from commenv.learning.evaluation import Evaluator
from commenv.learning.scheme import State
from commenv.learning.shard import Shard
from commenv.learning.sharded import Crew, ShardedRounds
from commenv.study.arm import Arm
from commenv.study.execution.build import problem_of, world_of, worlds_of
from commenv.study.spec import Study
from commenv.wrappers import ChannelEnv

__all__ = ["CrewHere", "MakeShard", "Shards", "sharded_rounds", "shares_of"]

MakeShard: TypeAlias = Callable[[], Shard]


class Shards(NamedTuple):
    """How the agents of a block are spread.

    Attributes:
        number: Over how many shards.
        start: Brings them to life, each where it is to run.
    """

    number: int
    start: Callable[[Sequence[MakeShard]], Crew]


def shares_of(num_agents: int, num_shards: int) -> list[slice]:
    """Cuts the agents into as many shares, as equal as can be.

    Raises:
        ValueError: Fewer agents than shares.
    """
    if num_shards > num_agents:
        raise ValueError(
            f"{num_shards} actors for {num_agents} agents; use at most one for each"
        )
    ends = [num_agents * shard // num_shards for shard in range(num_shards + 1)]
    return [slice(*pair) for pair in pairwise(ends)]


def sharded_rounds(
    study: Study,
    arm: Arm,
    trials: Sequence[int],
    shards: Shards,
) -> tuple[ChannelEnv, ShardedRounds, Evaluator]:
    """A block's channel, its rounds with agents in shards, and its evaluator.

    Args:
        study: The settings.
        arm: Which of the study's arms.
        trials: The trials' numbers.
        shards: How the agents are spread.
    """
    world = _Elsewhere(world_of(arm, 1), len(trials) * arm.num_agents)
    env = ChannelEnv(
        world,
        trials,
        arm.num_agents,
        uplink=arm.uplink,
        downlink=arm.downlink,
        gamma=study.gamma,
    )
    problem = problem_of(study, arm, trials, world)
    learner: Learner = arm.algorithm.learner(problem)
    shares = shares_of(arm.num_agents, shards.number)
    state = arm.scheme.start(env.shape)
    crew = shards.start(
        [
            partial(_shard, study, arm, tuple(trials), (share.start, share.stop), part)
            for share, part in ((one, _part(state, one)) for one in shares)
        ]
    )
    rounds = ShardedRounds(
        env, crew, shares, learner, arm.scheme, state, seed=study.seed
    )
    return env, rounds, problem.evaluator


class CrewHere:
    """Shards in this process, called one after the other.

    Args:
        makers: Of the shards.
    """

    def __init__(self, makers: Sequence[MakeShard]) -> None:
        self._shards = [make() for make in makers]

    def share(self, value: Any) -> Any:
        """The value itself."""
        return value

    def call(self, method: str, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Calls a method of every shard with its own arguments."""
        return [
            getattr(shard, method)(*own)
            for shard, own in zip(self._shards, arguments, strict=True)
        ]

    def close(self) -> None:
        """Releases the shards."""
        for shard in self._shards:
            shard.close()


def _shard(
    study: Study,
    arm: Arm,
    trials: tuple[int, ...],
    share: tuple[int, int],
    state: State,
) -> Shard:
    agents = range(*share)
    world = worlds_of(arm, len(trials), agents)
    env = ChannelEnv(world, trials, agents, gamma=study.gamma)
    problem = problem_of(study, arm, trials, world, agents)
    return Shard(
        env,
        arm.algorithm.agents(problem),
        arm.scheme,
        state,
        Sender(arm.uplink, problem.draws),
        team=arm.num_agents,
        seed=study.seed,
    )


def _part(state: State, share: slice) -> State:
    """What a scheme remembers of some agents."""
    return {name: values[:, share] for name, values in state.items()}


class _Elsewhere(BatchedEnv):
    """Instances that somebody else steps: they can be looked at, and that is all.

    Args:
        like: An instance of the same kind.
        num_envs: How many there are.
    """

    def __init__(self, like: BatchedEnv, num_envs: int) -> None:
        self._like = like
        self.num_envs = num_envs
        self.single_observation_space = like.single_observation_space
        self.single_action_space = like.single_action_space
        self.max_episode_steps = like.max_episode_steps
        self.mdp = like.mdp

    def reset(
        self, draws: WorldDraws, mask: NDArray[np.bool_] | None = None
    ) -> NDArray[Any]:
        """Nothing is observed here."""
        return np.zeros(0)

    def step(self, actions: NDArray[Any], active: NDArray[np.bool_]) -> BatchedStep:
        """Never called: whoever has the instances steps them."""
        raise NotImplementedError("the instances are elsewhere")

    def close(self) -> None:
        """Releases the instance that was looked at."""
        self._like.close()
