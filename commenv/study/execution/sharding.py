"""A block whose agents are spread over shards, which may run anywhere."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple, TypeAlias

from commenv.channel import Encoder
from commenv.channel.shapes import uplink_wiring
from commenv.learning import Learner
from commenv.learning.evaluation import Evaluator
from commenv.learning.scheme import State
from commenv.learning.shard import Shard
from commenv.learning.sharded import Crew, ShardedRounds
from commenv.study.arm import Arm
from commenv.study.execution.build import problem_of, world_of, worlds_of
from commenv.study.spec import Study
from commenv.wrappers import Instances, Star

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
) -> tuple[ShardedRounds, Evaluator]:
    """A block's rounds with agents in shards, and its evaluator.

    Args:
        study: The settings.
        arm: Which of the study's arms.
        trials: The trials' numbers.
        shards: How the agents are spread.
    """
    star = Star(trials, arm.num_agents, arm.uplink, arm.downlink, encodes=False)
    example = world_of(arm, 1)
    problem = problem_of(study, arm, trials, example)
    example.close()  # it is asked for its spaces and tables alone
    learner: Learner = arm.algorithm.learner(problem)
    shares = shares_of(arm.num_agents, shards.number)
    state = arm.scheme.start(star.shape)
    crew = shards.start(
        [
            partial(_shard, study, arm, tuple(trials), (share.start, share.stop), part)
            for share, part in ((one, _part(state, one)) for one in shares)
        ]
    )
    rounds = ShardedRounds(
        star, crew, shares, learner, arm.scheme, state, seed=study.seed
    )
    return rounds, problem.evaluator


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
    instances = Instances(world, trials, agents, gamma=study.gamma)
    problem = problem_of(study, arm, trials, world, agents)
    return Shard(
        instances,
        arm.algorithm.agents(problem),
        arm.scheme,
        state,
        Encoder(arm.uplink, uplink_wiring(problem.draws)),
        team=arm.num_agents,
        seed=study.seed,
    )


def _part(state: State, share: slice) -> State:
    """What a scheme remembers of some agents."""
    return {name: values[:, share] for name, values in state.items()}
