"""Small parallel environments whose every number is known."""

from typing import Any

import numpy as np
from gymnasium import spaces
from pettingzoo import ParallelEnv


class Counting(ParallelEnv):
    """Agents count steps; agent i leaves after ``lives[i]`` of them, if given.

    The observation is (seed, steps, last own action); the reward is the action.
    """

    metadata = {"name": "counting", "is_parallelizable": True}  # noqa: RUF012

    def __init__(self, num_agents=3, lives=None, length=10):
        self.possible_agents = [f"agent_{number}" for number in range(num_agents)]
        self.lives = lives or [length] * num_agents
        self.length = length
        self.render_mode = None
        self._observation = spaces.Box(-np.inf, np.inf, (3,), np.float64)
        self._action = spaces.Discrete(4)

    def observation_space(self, agent):
        return self._observation

    def action_space(self, agent):
        return self._action

    def reset(self, seed=None, options=None):
        self.agents = self.possible_agents[:]
        self.seed, self.steps = seed or 0, 0
        self.log: list[dict[str, Any]] = []
        return self._seen({}), {agent: {} for agent in self.agents}

    def step(self, actions):
        self.log.append(dict(actions))
        self.steps += 1
        live, self.agents = self.agents, []
        terminations, truncations = {}, {}
        for agent in live:
            number = int(agent.rpartition("_")[2])
            terminations[agent] = self.steps >= self.lives[number]
            truncations[agent] = self.steps >= self.length
            if not (terminations[agent] or truncations[agent]):
                self.agents.append(agent)
        rewards = {agent: float(actions.get(agent, 0)) for agent in live}
        infos = {agent: {"steps": self.steps} for agent in live}
        return self._seen(actions, live), rewards, terminations, truncations, infos

    def _seen(self, actions, agents=None):
        return {
            agent: np.array([self.seed, self.steps, actions.get(agent, -1)], float)
            for agent in (self.agents if agents is None else agents)
        }


def does(action, message=None, to=0):
    """An action in the wrapper's form."""
    return {"action": action, "message": message, "to": to}
