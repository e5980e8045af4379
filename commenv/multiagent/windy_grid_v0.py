"""Windy Grid for PettingZoo: agents walk to goals through gusts of wind.

Each agent (``agent_0`` ...) has an instance of its own and a channel to one learner.
Spaces, rewards, the end of an episode and arguments are those of
:class:`~commenv.envs.WindyGridEnv`; see
:class:`~commenv.multiagent.ParallelInstances` for the channel and for ``infos``.
"""

from commenv.multiagent.making import forms_of

__all__ = ["env", "parallel_env", "raw_env"]

env, raw_env, parallel_env = forms_of("commenv/WindyGrid-v0")
