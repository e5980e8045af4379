"""Worlds: tables and their exact values, grids, and batches of instances."""

from commenv.envs.batch import ScalarBatch, TabularBatch
from commenv.envs.batched import BatchedEnv, BatchedStep
from commenv.envs.cart_pole import CartPoleBatch
from commenv.envs.cart_pole_vector import CartPoleVectorEnv
from commenv.envs.frozen_lake import FrozenLakeEnv
from commenv.envs.grid import SimpleGridEnv, WindyGridEnv
from commenv.envs.making import make_batched, make_scalar
from commenv.envs.mujoco import MujocoBatch
from commenv.envs.native import NativeVectorEnv
from commenv.envs.scalar import TabularEnv
from commenv.envs.tabular import TabularMDP
from commenv.envs.values import greedy_policy
from commenv.envs.vector import TabularVectorEnv

__all__ = [
    "BatchedEnv",
    "BatchedStep",
    "CartPoleBatch",
    "CartPoleVectorEnv",
    "FrozenLakeEnv",
    "MujocoBatch",
    "NativeVectorEnv",
    "ScalarBatch",
    "SimpleGridEnv",
    "TabularBatch",
    "TabularEnv",
    "TabularMDP",
    "TabularVectorEnv",
    "WindyGridEnv",
    "greedy_policy",
    "make_batched",
    "make_scalar",
]
