"""Flat actions and observations, for libraries that take no dictionaries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

__all__ = ["FlatActions", "FlatObservations"]


class FlatActions:
    """One MultiDiscrete action instead of action, message and recipient.

    The components of the environment's action come first, then those of the message,
    then the recipient. A component of a Box becomes a choice among ``bins`` values, the
    same distance apart, from its lower to its upper limit.

    Args:
        space: The dictionary's space.
        bins: Values to choose from, at least 2; None where nothing is a Box.
        agent: Whose it is, for errors.

    Attributes:
        space: The flat space.

    Raises:
        ValueError: A Box without bins, or without limits, or another kind of space.
    """

    def __init__(self, space: spaces.Dict, bins: int | None, agent: str) -> None:
        self._parts = {
            name: _Components(space[name], bins, f"the {name} of agent {agent!r}")
            for name in ("action", "message", "to")
        }
        sizes = [part.sizes for part in self._parts.values()]
        self.space = spaces.MultiDiscrete(np.concatenate(sizes))

    def parts(self, action: Any) -> dict[str, Any]:
        """The dictionary that a flat action stands for.

        Raises:
            ValueError: It is not in the space.
        """
        given = np.asarray(action)
        sizes = self.space.nvec
        whole = given.shape == sizes.shape and given.dtype.kind in "iu"
        if not whole or not ((given >= 0) & (given < sizes)).all():
            raise ValueError(
                f"action {action!r} is not in {self.space}, which holds the action, "
                "the message and the recipient"
            )
        chosen, start = {}, 0
        for name, part in self._parts.items():
            stop = start + len(part.sizes)
            chosen[name] = part.element(given[start:stop])
            start = stop
        return chosen

    def mask(self, mask: NDArray[np.bool_]) -> NDArray[np.int8]:
        """The mask of flat actions: messages and recipients are always allowed.

        Args:
            mask: bool, shape (choices,): of the environment's own action.

        Returns:
            int8, shape (choices of all components,), one component after another.

        Raises:
            ValueError: Not one entry for each choice of the environment's action.
        """
        own = int(self._parts["action"].sizes.sum())
        if len(mask) != own:
            raise ValueError(
                f"an action mask of {len(mask)} entries for {own} choices; give one "
                "entry for each"
            )
        others = int(self.space.nvec.sum()) - own
        return np.concatenate([mask, np.ones(others, np.bool_)]).astype(np.int8)


class FlatObservations:
    """One Box of float32 instead of a dictionary.

    It holds the environment's observation as Gymnasium flattens it (Discrete as one
    component for each element); then, for each sender, its last message (discrete ones
    likewise, all zero where none has ever arrived); then who spoke; then how fresh the
    messages are, 1 / (1 + age), 0 where none has ever arrived; then the shares of the
    budget.

    Args:
        space: The dictionary's space.
        message_space: Of one message.

    Attributes:
        space: The flat space.
    """

    def __init__(self, space: spaces.Dict, message_space: gym.Space[Any]) -> None:
        self._base = space["observation"]
        self._encode = _Symbols(message_space)
        own = spaces.flatten_space(self._base)
        if not isinstance(own, spaces.Box):
            raise ValueError(f"observations of {self._base} have no fixed length")
        spoke = space.spaces.get("spoke")
        senders = 0 if spoke is None else spaces.flatdim(spoke)
        low, high = (np.tile(one, senders) for one in self._encode.limits)
        rest = 2 * senders + 2
        self.space = spaces.Box(
            np.concatenate([own.low.ravel(), low, np.zeros(rest)]).astype(np.float32),
            np.concatenate([own.high.ravel(), high, np.ones(rest)]).astype(np.float32),
            dtype=np.float32,
        )

    def of(self, parts: Mapping[str, Any]) -> NDArray[np.float32]:
        """The flat form of what an agent sees."""
        pieces = [np.asarray(spaces.flatten(self._base, parts["observation"]))]
        if "age" in parts:
            age = parts["age"]
            ever = age >= 0
            pieces += [
                (self._encode.rows(parts["inbox"]) * ever[:, None]).ravel(),
                parts["spoke"],
                np.where(ever, 1 / (1.0 + np.maximum(age, 0)), 0),
            ]
        return np.concatenate([*pieces, parts["budget"]], dtype=np.float32)


class _Components:
    """The components of an action, a message or a recipient."""

    def __init__(self, space: gym.Space[Any], bins: int | None, what: str) -> None:
        self._space = space
        self._shape = tuple(space.shape or ())
        count = int(np.prod(self._shape, dtype=np.int64))
        if isinstance(space, spaces.Discrete):
            self.sizes, self._first = np.array([space.n]), np.array([space.start])
        elif isinstance(space, spaces.MultiDiscrete):
            self.sizes, self._first = space.nvec.ravel(), space.start.ravel()
        elif isinstance(space, spaces.MultiBinary):
            self.sizes, self._first = np.full(count, 2), np.zeros(count, np.int64)
        elif isinstance(space, spaces.Box):
            self._values = _grid(space, bins, what)
            self.sizes = np.full(count, bins)
        else:
            raise ValueError(
                f"{what} is of {space}, which cannot be flattened; use a Box, "
                "Discrete, MultiDiscrete or MultiBinary"
            )

    def element(self, chosen: NDArray[np.integer]) -> Any:
        """The element of the space that these choices name."""
        space = self._space
        if isinstance(space, spaces.Discrete):
            return int(chosen[0] + self._first[0])
        if isinstance(space, spaces.Box):
            picked = np.take_along_axis(self._values, chosen[None], axis=0)[0]
            return picked.reshape(self._shape).astype(space.dtype)
        return (chosen + self._first).reshape(self._shape).astype(space.dtype)


class _Symbols:
    """Messages as numbers: discrete ones as one component for each element."""

    def __init__(self, space: gym.Space[Any]) -> None:
        self._starts: NDArray[np.int64] | None = None
        if isinstance(space, spaces.Discrete):
            sizes, self._starts = np.array([space.n]), np.array([space.start])
        elif isinstance(space, spaces.MultiDiscrete):
            sizes, self._starts = space.nvec.ravel(), space.start.ravel()
        if self._starts is not None:
            self._offsets = np.cumsum(sizes) - sizes - self._starts
            self._width = int(sizes.sum())
            self.limits = (np.zeros(self._width), np.ones(self._width))
        elif isinstance(space, spaces.Box):
            low, high = space.low.ravel(), space.high.ravel()
            self.limits = (np.minimum(low, 0), np.maximum(high, 0))
        else:
            count = int(np.prod(space.shape or (), dtype=np.int64))
            self.limits = (np.zeros(count), np.ones(count))

    def rows(self, messages: NDArray[Any]) -> NDArray[Any]:
        """A row of numbers for each message."""
        values = messages.reshape(len(messages), -1)
        if self._starts is None:
            return values
        rows = np.zeros((len(values), self._width))
        rows[np.arange(len(values))[:, None], values + self._offsets] = 1
        return rows


def _grid(space: spaces.Box, bins: int | None, what: str) -> NDArray[np.float64]:
    """The values of each component: shape (bins, components)."""
    if bins is None or bins < 2:
        raise ValueError(
            f"{what} is a Box, of which a flat action chooses among bins; give "
            f"bins= of 2 or more, not {bins}"
        )
    if not space.is_bounded():
        raise ValueError(
            f"{what} is a Box without limits on every side; rescale it to a bounded one"
        )
    low, high = space.low.ravel(), space.high.ravel()
    return np.linspace(low.astype(np.float64), high.astype(np.float64), bins)
