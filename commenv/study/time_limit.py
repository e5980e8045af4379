"""Where episodes are cut, found out by making the environment once."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from gymnasium.error import DependencyNotInstalled

from commenv.checks import check_env_id
from commenv.envs.batched import BatchedEnv
from commenv.envs.making import make_batched
from commenv.envs.own_worlds import grouped
from commenv.errors import CommenvError
from commenv.study.arm import check_whole

__all__ = ["DEFAULT_TIME_LIMIT", "time_limit"]

DEFAULT_TIME_LIMIT = 200
"""Steps after which an episode is cut where the environment sets no limit."""

_logger = logging.getLogger("commenv")


def time_limit(
    environment: str,
    env_kwargs: dict[str, Any] | Sequence[dict[str, Any]],
    asked: int | None = None,
) -> int:
    """Steps after which an episode is cut: as asked, the environment's own, or 200.

    Args:
        environment: A Gymnasium id.
        env_kwargs: Its arguments, or those of each agent's own.
        asked: As asked.

    Raises:
        ValueError: An environment that cannot be made, or agents' own that differ in
            their spaces or time limits.
        ImportError: It lacks a package.
    """
    check_env_id(environment)
    if asked is not None:
        check_whole("max_episode_steps", asked)
    each = [env_kwargs] if isinstance(env_kwargs, Mapping) else env_kwargs
    groups = grouped(each)
    worlds = [_looked_at(environment, own, asked) for _, own in groups]
    for (agents, _), world in zip(groups, worlds, strict=True):
        _check_shared(agents[0], world, worlds[0])
    if worlds[0].max_episode_steps is None:
        _logger.info(
            "%s sets no time limit: its episodes are cut after %d steps",
            environment,
            DEFAULT_TIME_LIMIT,
        )
    return worlds[0].max_episode_steps or DEFAULT_TIME_LIMIT


def _looked_at(
    environment: str, env_kwargs: dict[str, Any], asked: int | None
) -> BatchedEnv:
    """An instance that is closed: its spaces and time limit."""
    try:
        world = make_batched(
            environment, 1, env_kwargs=env_kwargs, max_episode_steps=asked
        )
    except (CommenvError, ValueError):
        raise
    except (DependencyNotInstalled, ImportError) as error:
        raise ImportError(f"{environment} lacks a package: {error}") from error
    except Exception as error:  # whatever a foreign constructor may raise
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(
            f"{environment} cannot be made with {env_kwargs} ({reason})"
        ) from error
    world.close()
    return world


def _check_shared(agent: int, world: BatchedEnv, first: BatchedEnv) -> None:
    """Raises ValueError where an agent's world does not fit one learner for all."""
    for what, own, other in (
        (
            "observations",
            world.single_observation_space,
            first.single_observation_space,
        ),
        ("actions", world.single_action_space, first.single_action_space),
        ("time limit", world.max_episode_steps, first.max_episode_steps),
    ):
        if own != other:
            cure = (
                "set max_episode_steps"
                if what == "time limit"
                else "agents that learn together need the same spaces"
            )
            raise ValueError(
                f"agent {agent}'s world has {what} {own}, and agent 0's {other}; {cure}"
            )
