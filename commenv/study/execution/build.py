"""Setting up the parts of a block, as its study describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from commenv.envs.batched import BatchedEnv
from commenv.envs.making import make_batched, make_scalar
from commenv.envs.own_worlds import make_worlds
from commenv.learning import ExactEvaluator, MonteCarloEvaluator, Problem, Rounds
from commenv.learning.evaluation import Evaluator, MeanEvaluator
from commenv.rng import Draws
from commenv.study.arm import Arm
from commenv.study.spec import Study
from commenv.wrappers import ChannelEnv

if TYPE_CHECKING:
    from commenv.study.storage.trace import Trace

__all__ = ["problem_of", "rounds_of", "world_of", "worlds_of"]


def world_of(arm: Arm, num_envs: int, agent: int = 0) -> Any:
    """A batch of instances of the environment of one of an arm's agents."""
    return make_batched(
        arm.environment,
        num_envs,
        env_kwargs=arm.arguments(agent),
        max_episode_steps=arm.time_limit,
    )


def worlds_of(arm: Arm, num_trials: int, agents: Sequence[int] | None = None) -> Any:
    """An instance for each trial and agent, or for each of some of the agents."""
    everybody = range(arm.num_agents) if agents is None else agents
    if len(arm.worlds) == 1:
        return world_of(arm, num_trials * len(everybody))
    return make_worlds(
        arm.environment,
        num_trials,
        [arm.arguments(agent) for agent in everybody],
        max_episode_steps=arm.time_limit,
    )


def rounds_of(
    study: Study, arm: Arm, trials: Sequence[int], trace: Trace | None
) -> tuple[Rounds, Evaluator]:
    """A block's rounds, and the evaluator of its policies."""
    world = worlds_of(arm, len(trials))
    env = ChannelEnv(
        world,
        trials,
        arm.num_agents,
        uplink=arm.uplink,
        downlink=arm.downlink,
        gamma=study.gamma,
        journal=trace is not None,
    )
    problem = problem_of(study, arm, trials, world)
    env.instances.observer = trace
    rounds = Rounds(
        env,
        arm.algorithm.agents(problem),
        arm.algorithm.learner(problem),
        arm.scheme,
        seed=study.seed,
    )
    return rounds, problem.evaluator


def problem_of(
    study: Study,
    arm: Arm,
    trials: Sequence[int],
    world: Any,
    agents: Sequence[int] | None = None,
) -> Problem:
    """What an arm's algorithm is told about its task.

    Args:
        study: The settings.
        arm: Which of the study's arms.
        trials: The trials' numbers.
        world: Instances of the environment, for their spaces, and tables if all agents
            are in the same.
        agents: The agents' numbers, where they are some of a trial's.
    """
    draws = Draws(study.seed, trials, agents or arm.num_agents)

    def make_env(agent: int) -> gym.Env[Any, Any]:
        return make_scalar(
            arm.environment,
            env_kwargs=arm.arguments(agent),
            max_episode_steps=arm.time_limit,
        )

    return Problem(
        draws=draws,
        observation_space=world.single_observation_space,
        action_space=world.single_action_space,
        gamma=study.gamma,
        num_episodes=study.num_episodes,
        evaluator=_evaluator(study, arm, world, draws),
        signals=frozenset(arm.scheme.requires),
        mdp=world.mdp if len(arm.worlds) == 1 else None,
        make_env=make_env,
        team=arm.num_agents,
    )


def _evaluator(study: Study, arm: Arm, world: Any, draws: Draws) -> Evaluator:
    if len(arm.worlds) == 1:
        return _evaluator_in(study, arm, world, draws)
    parts = {}
    for agents, _ in arm.worlds:
        own = world_of(arm, 1, agents[0])
        own.close()  # it is asked for its tables alone
        parts[agents[0]] = _evaluator_in(study, arm, own, draws, agents[0])
    return MeanEvaluator(parts, [len(agents) for agents, _ in arm.worlds])


def _evaluator_in(
    study: Study, arm: Arm, world: Any, draws: Draws, agent: int = 0
) -> Evaluator:
    """What evaluates in an agent's world."""
    if world.mdp is not None:
        return ExactEvaluator(
            world.mdp, study.gamma, world.max_episode_steps, len(draws.trials)
        )

    def make_world(num_envs: int) -> BatchedEnv:
        own: BatchedEnv = world_of(arm, num_envs, agent)
        return own

    return MonteCarloEvaluator(
        make_world, draws, study.gamma, study.evaluation_episodes
    )
