"""From an environment id to a batch of instances."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import logging
from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.envs.registration import EnvSpec, load_env_creator

from commenv.checks import check_env_id, check_kwargs
from commenv.envs.batch import ScalarBatch, TabularBatch, check_counts, checked
from commenv.envs.batched import BatchedEnv
from commenv.envs.tabular import TabularMDP
from commenv.errors import UnknownNameError
from commenv.registration import NAMESPACE, batched_entry_point

__all__ = [
    "arguments_of",
    "class_of",
    "creator_of",
    "find_spec",
    "is_env_id",
    "make_batched",
    "make_scalar",
    "parameters",
]

# What is given beside the environment's arguments.
_OF_THE_BATCH = ("num_envs", "max_episode_steps")
_OF_THE_CHANNEL = ("uplink", "downlink", "agent", "gamma")
_logger = logging.getLogger("commenv")


def make_batched(
    env_id: str,
    num_envs: int,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> BatchedEnv:
    """Makes ``num_envs`` instances of a Gymnasium environment as one batch.

    Environments that publish their tables are stepped by array operations, and so are
    ``commenv/CartPole-v1`` and the MuJoCo robots (``commenv/Ant-v5`` ...). All others
    are stepped one by one, which is slower; the log says so. Observations of several
    parts (Dict, Tuple), none of them an image, are flattened into one array, as
    :class:`gymnasium.wrappers.FlattenObservation` does.

    Args:
        env_id: A registered id; ``"module:Env-v0"`` imports the module first.
        num_envs: How many instances, at least 1.
        env_kwargs: Arguments for the environment, as for ``gym.make``.
        max_episode_steps: The time limit; that of the id when left out.

    Returns:
        A batch whose ``mdp`` holds the tables, or is None where there are none.

    Raises:
        UnknownNameError: No such id or module; the message lists the nearest ids.
        ValueError: An argument that the environment does not have, or a count below 1.
        MissingExtraError: What the environment needs is not installed.
        EnvironmentFaultError: The environment says that its rewards are vectors.
    """
    check_counts(num_envs, max_episode_steps)
    check_kwargs("env_kwargs", env_kwargs)
    spec = find_spec(env_id)
    arguments = dict(env_kwargs or {})
    limit = max_episode_steps or spec.max_episode_steps
    if entry_point := batched_entry_point(spec.id):
        batch: Any = load_env_creator(entry_point)
        _check_arguments(spec.id, batch, arguments, besides=_OF_THE_BATCH)
        return batch(num_envs, limit, **arguments)
    _check_arguments(spec.id, creator_of(spec), arguments)

    def make() -> gym.Env[Any, Any]:
        return _make(spec, arguments, max_episode_steps)

    env = make()
    try:
        mdp = TabularMDP.from_env(env)
    except ValueError as reason:
        if num_envs > 1:  # one instance alone loses nothing
            _logger.info(
                "%s is stepped one instance at a time: %s%s",
                env_id,
                reason,
                _batched_twin(spec),
            )
        instances = [env, *(make() for _ in range(num_envs - 1))]
        return ScalarBatch(instances)
    env.close()
    return TabularBatch(mdp, num_envs, limit)


def make_scalar(
    env_id: str,
    *,
    env_kwargs: Mapping[str, Any] | None = None,
    max_episode_steps: int | None = None,
) -> gym.Env[Any, Any]:
    """Makes one instance as a Gymnasium environment, its observation in one array.

    Its spaces are those of the batch that :func:`make_batched` makes, and what it
    returns is checked in the same way.

    Args:
        env_id: A registered id; ``"module:Env-v0"`` imports the module first.
        env_kwargs: Arguments for the environment, as for ``gym.make``.
        max_episode_steps: The time limit; that of the id when left out.

    Raises:
        UnknownNameError: No such id or module; the message lists the nearest ids.
        ValueError: An argument that the environment does not have, or a limit below 1.
        EnvironmentFaultError: The environment says that its rewards are vectors.
    """
    check_counts(1, max_episode_steps)
    spec = find_spec(env_id)
    arguments = dict(env_kwargs or {})
    _check_arguments(spec.id, creator_of(spec), arguments)
    return checked(_make(spec, arguments, max_episode_steps))


def is_env_id(env_id: str) -> bool:
    """Whether Gymnasium knows an id, once the module before its colon is imported."""
    module, _, name = env_id.rpartition(":")
    if module:
        with contextlib.suppress(ImportError):
            importlib.import_module(module)
    return name in gym.registry


def class_of(env_id: str) -> Any:
    """What says in its docstring what an environment is: our batch, or its class.

    Raises:
        UnknownNameError: No such id.
        ImportError: It cannot be imported, perhaps as it lacks a package.
    """
    spec = find_spec(env_id)
    if entry_point := batched_entry_point(spec.id):
        return load_env_creator(entry_point)
    try:
        return creator_of(spec)
    except Exception as error:  # it is somebody's own code
        reason = f"{type(error).__name__}: {error}"
        raise ImportError(f"{env_id} cannot be imported ({reason})") from error


def arguments_of(env_id: str) -> dict[str, Any]:
    """What ``env_kwargs`` may hold for an environment, and the defaults.

    Raises:
        UnknownNameError: No such id.
        ImportError: It cannot be imported, perhaps as it lacks a package.
    """
    spec, cls = find_spec(env_id), class_of(env_id)
    found = parameters(cls)
    if batched_entry_point(spec.id) and _takes_any(cls):
        with contextlib.suppress(ImportError):
            found |= parameters(creator_of(spec))
    besides = (*_OF_THE_BATCH, "render_mode")
    return {name: value for name, value in found.items() if name not in besides}


def parameters(creator: Any) -> dict[str, Any]:
    """The parameters of what makes something, and their defaults.

    Those without one have ``inspect.Parameter.empty``.
    """
    kinds = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
    return {
        name: parameter.default
        for name, parameter in inspect.signature(creator).parameters.items()
        if parameter.kind not in kinds
    }


def find_spec(env_id: str) -> EnvSpec:
    """The specification of a registered environment.

    Args:
        env_id: A registered id; ``"module:Env-v0"`` imports the module first.

    Raises:
        UnknownNameError: No such id or module; the message lists the nearest ids.
    """
    check_env_id(env_id)
    module, _, name = env_id.rpartition(":")
    if module:
        try:
            importlib.import_module(module)
        except ModuleNotFoundError as error:
            if error.name != module.partition(".")[0] and error.name != module:
                raise
            cure = "install the package or correct the name before the colon"
            raise UnknownNameError("module", module, (), cure) from error
    if name not in gym.registry:
        cure = "an environment of another package is written module:Env-v0"
        raise UnknownNameError("environment", name, gym.registry, cure)
    return gym.registry[name]


def _make(
    spec: EnvSpec, arguments: Mapping[str, Any], max_episode_steps: int | None
) -> gym.Env[Any, Any]:
    return gym.make(
        spec,
        max_episode_steps=max_episode_steps,
        disable_env_checker=True,
        **arguments,
    )


def _batched_twin(spec: EnvSpec) -> str:
    """A hint at our id of the same world, where there is one that is batched."""
    twin = f"{NAMESPACE}/{spec.id}"
    return f"; {twin} is the same world, batched" if batched_entry_point(twin) else ""


def creator_of(spec: EnvSpec) -> Any:
    """What makes the scalar form of an environment: a class or a function.

    Raises:
        ValueError: There is no scalar form.
    """
    if spec.entry_point is None:
        raise ValueError(
            f"{spec.id} has only a vector form; use an id with a scalar form"
        )
    if isinstance(spec.entry_point, str):
        return load_env_creator(spec.entry_point)
    return spec.entry_point


def _check_arguments(
    env_id: str,
    creator: Any,
    arguments: Mapping[str, Any],
    besides: tuple[str, ...] = (),
) -> None:
    """Refuses arguments that the environment does not have, and those ``besides``."""
    known_ones = parameters(creator)
    if getattr(creator, "has_channel", False):
        besides = (*besides, *_OF_THE_CHANNEL)
    own = [name for name in known_ones if name not in besides]
    for name in arguments:
        if name in besides or (name not in own and not _takes_any(creator)):
            known = ", ".join(one for one in own if one != "render_mode")
            raise ValueError(
                f"{env_id} has no argument {name!r}; it knows {known or 'no argument'}"
            )
        # A word such as "no" would otherwise be taken for true.
        switch = isinstance(known_ones.get(name), bool)
        if switch and not isinstance(arguments[name], (bool, np.bool_)):
            raise ValueError(
                f"argument {name} of {env_id} is {arguments[name]!r}; give True or "
                "False"
            )


def _takes_any(creator: Any) -> bool:
    every = inspect.signature(creator).parameters.values()
    return any(one.kind is inspect.Parameter.VAR_KEYWORD for one in every)
