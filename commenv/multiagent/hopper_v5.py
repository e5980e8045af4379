"""Hopper for PettingZoo: one-legged robots learn to hop.

Each agent (``agent_0`` ...) has an instance of its own and a channel to one learner.
Spaces, rewards, the end of an episode and arguments are those of
:class:`~commenv.envs.robots.HopperBatch`; see
:class:`~commenv.multiagent.ParallelInstances` for the channel and for ``infos``. The
extra ``mujoco`` is needed.
"""

from commenv.multiagent.making import forms_of

__all__ = ["env", "parallel_env", "raw_env"]

env, raw_env, parallel_env = forms_of("commenv/Hopper-v5")
