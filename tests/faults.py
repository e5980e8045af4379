"""Environments that do what they must not, for whoever has to notice it."""

from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces

UNIT = spaces.Box(-1, 1, (3,), np.float32)


class Licence(Exception):
    """A user's exception that cannot be pickled."""

    def __init__(self, tool, reason):
        super().__init__(f"{tool} {reason}")


def zero(space):
    """An element of a space, of zeros."""
    if isinstance(space, spaces.Dict):
        return {name: zero(part) for name, part in space.items()}
    if isinstance(space, spaces.Tuple):
        return tuple(map(zero, space.spaces))
    return np.zeros(space.shape, space.dtype)


class Faulty(gym.Env):
    """Returns the given parts of a step from the second step on, and the reset's."""

    action_space = spaces.Discrete(2)

    def __init__(self, space=None, *, start=None, length=6, **parts):
        self.observation_space = space or spaces.Discrete(4)
        self.start, self.parts, self.length = start, parts, length

    def sane(self) -> Any:
        if isinstance(self.observation_space, spaces.Discrete):
            return self.time % 4
        return zero(self.observation_space)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return (self.sane() if self.start is None else self.start), {}

    def step(self, action):
        self.time += 1
        step = {
            "observation": self.sane(),
            "reward": 1.0,
            "terminated": self.time >= self.length,
            "truncated": False,
            "info": {},
        }
        return tuple((step | (self.parts if self.time > 1 else {})).values())


class Unlucky(gym.Env):
    """Six steps of reward 1; some go wrong by chance, as the seed will have it."""

    observation_space, action_space = spaces.Discrete(4), spaces.Discrete(2)

    def __init__(self, chance=0.01, fault="raise", boxed=False):
        self.chance, self.fault, self.boxed = chance, fault, boxed
        if boxed:
            self.observation_space = spaces.Box(-1, 1, (2,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.time = 0
        return self.seen(), {}

    def step(self, action):
        self.time += 1
        reward, state = 1.0, self.seen()
        if self.np_random.random() < self.chance:
            if self.fault == "raise":
                raise Licence("simulator", "lost its licence")
            if self.fault == "observation":
                state = -1
            else:
                reward = float(self.fault)
        return state, reward, self.time >= 6, False, {}

    def sound_step(self, action):
        self.time += 1
        return self.seen(), 1.0, self.time >= 6, False, {}

    def seen(self):
        if self.boxed:
            return np.full(2, self.time / 6, np.float32)
        return self.time % 4


gym.register("Unlucky-v0", Unlucky)
