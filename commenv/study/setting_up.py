"""Setting up the parts of a block, as its study describes them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import gymnasium as gym

from commenv.draws import Draws
from commenv.envs.batched import BatchedEnv
from commenv.envs.making import make_batched, make_scalar
from commenv.learning import ExactEvaluator, PlayedEvaluator, Problem, Rounds
from commenv.learning.evaluation import Evaluator
from commenv.study.arm import Arm
from commenv.study.spec import Study
from commenv.wrappers import ChannelEnv

if TYPE_CHECKING:
    from commenv.study.trace import Trace

__all__ = ["problem_of", "rounds_of", "world_of"]


def world_of(arm: Arm, num_envs: int) -> Any:
    """A batch of instances of an arm's environment."""
    return make_batched(
        arm.environment,
        num_envs,
        env_kwargs=arm.env_kwargs,
        max_episode_steps=arm.time_limit,
    )


def rounds_of(
    study: Study, arm: Arm, trials: Sequence[int], trace: Trace | None
) -> tuple[ChannelEnv, Rounds, Evaluator]:
    """A block's environment, its rounds, and the evaluator of its policies."""
    world = world_of(arm, len(trials) * arm.num_agents)
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
    env.observer = trace
    rounds = Rounds(
        env,
        arm.algorithm.agents(problem),
        arm.algorithm.learner(problem),
        arm.scheme,
        seed=study.seed,
    )
    return env, rounds, problem.evaluator


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
        world: Instances of the environment, for their spaces and tables.
        agents: The agents' numbers, where they are some of a trial's.
    """
    draws = Draws(study.seed, trials, agents or arm.num_agents)

    def make_env() -> gym.Env[Any, Any]:
        return make_scalar(
            arm.environment,
            env_kwargs=arm.env_kwargs,
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
        mdp=world.mdp,
        make_env=make_env,
        team=arm.num_agents,
    )


def _evaluator(study: Study, arm: Arm, world: Any, draws: Draws) -> Evaluator:
    if world.mdp is not None:
        return ExactEvaluator(
            world.mdp, study.gamma, world.max_episode_steps, len(draws.trials)
        )

    def make_world(num_envs: int) -> BatchedEnv:
        return world_of(arm, num_envs)

    return PlayedEvaluator(make_world, draws, study.gamma, study.evaluation_episodes)
