"""Parallel environments that other people's software is to take."""

from functools import partial

import numpy as np
from gymnasium import spaces
from mpe2 import simple_spread_v3, simple_tag_v3

import commenv
from commenv import BernoulliLoss, Budget, Channel
from commenv.multiagent import signal_v0

BOX = spaces.Box(-1, 1, (2,), np.float32)
WORD = spaces.Discrete(4)


def instances(env_id, **how):
    uplink = Channel(budget=Budget(messages=2, per="episode"))
    return commenv.parallel_env(f"commenv/{env_id}", 3, uplink=uplink, **how)


def talk(world, message_space, **how):
    budget = Budget(messages=3, per="episode")
    return commenv.CommunicationBudget(
        world(),
        message_space=message_space,
        budget=budget,
        link=BernoulliLoss(0.3),
        **how,
    )


GRID = partial(instances, "SimpleGrid-v0", max_cycles=20)
CART_POLE = partial(instances, "CartPole-v1", max_cycles=50)
SPREAD = partial(simple_spread_v3.parallel_env, max_cycles=10)
TAG = partial(simple_tag_v3.parallel_env, max_cycles=10)
SIGNAL = partial(signal_v0.parallel_env, max_cycles=10)
WORLDS = {
    "simple grid": GRID,
    "windy grid": partial(instances, "WindyGrid-v0", max_cycles=20),
    "frozen lake": partial(instances, "FrozenLake-v0", max_cycles=20),
    "cart pole": CART_POLE,
    "signal": SIGNAL,
    "spread, flat": partial(talk, SPREAD, WORD, flatten=True),
    "spread in bins, flat": partial(talk, SPREAD, BOX, flatten=True, bins=5),
    "tag, flat": partial(talk, TAG, spaces.MultiDiscrete([4, 3]), flatten=True),
    "signal, flat": partial(talk, SIGNAL, spaces.Discrete(8), flatten=True),
    "grid, flat": partial(talk, GRID, WORD, flatten=True),
    "cart pole in a ring, flat": partial(
        talk, CART_POLE, spaces.MultiBinary(3), flatten=True, topology="ring"
    ),
    "spread, dictionaries": partial(talk, SPREAD, BOX),
    "signal, dictionaries": partial(talk, SIGNAL, spaces.Discrete(8)),
    "tag, dictionaries": partial(talk, TAG, WORD),
    "grid, dictionaries": partial(talk, GRID, WORD, topology="complete"),
    "cart pole, dictionaries": partial(talk, CART_POLE, BOX),
}
