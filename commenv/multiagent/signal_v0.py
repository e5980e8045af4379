"""Signal: one agent sees the goal, another one has to walk to it."""

from __future__ import annotations

from functools import cache
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium import spaces
from gymnasium.utils import seeding
from numpy.typing import NDArray
from pettingzoo.utils import parallel_to_aec, wrappers
from pettingzoo.utils.env import AECEnv, ParallelEnv

from commenv.envs.drawing import GridScene, Window, draw_pixels, draw_text
from commenv.envs.grid import grid_mdp
from commenv.envs.options import check_options
from commenv.envs.tabular import TabularMDP
from commenv.errors import NotResetError
from commenv.seeds import integer_seed

__all__ = ["SignalEnv", "env", "parallel_env", "raw_env"]

_SIZE = 5
_CELLS = _SIZE * _SIZE
_START = _CELLS // 2
_GOALS = (2, 6, 8, 10, 14, 16, 18, 22)  # the cells at two moves from the centre
_SPEAKER, _LISTENER = "speaker_0", "listener_0"
_NO_GOAL = len(_GOALS)

Observations = dict[str, NDArray[np.int64]]


class SignalEnv(ParallelEnv[str, NDArray[np.int64], int]):
    """One of eight goals is right: the speaker sees which, and the listener walks.

    ## Description
    A task that needs talking, on the grid of Simple Grid. The environment has no way to
    talk: put a channel around it. Whatever the speaker does, the listener observes and
    earns the same, so that without a channel it knows nothing of the goal, and the best
    is to walk to any of them: one in eight is right. Entering a wrong goal ends the
    episode too, so the listener cannot try them all. At a discount factor of 0.9 the
    best return is 0.1125 without a channel, and 0.81 with messages that are heard a
    step later; undiscounted, 0.125 and 1 (`optimal_return`).

    Both agents have the same spaces, so one policy can be shared by them.

    ## Action Space
    `Discrete(5)` for both: 0 left, 1 right, 2 up, 3 down, 4 stay. The speaker's action
    does nothing. The goals lie around the centre, so the listener meets no wall.

    ## Observation Space
    `MultiDiscrete([2, 9, 25])` for both: the role (0 speaker, 1 listener), the goal
    (0 to 7 in reading order; 8 for none, which is what the listener sees), the
    listener's cell `row * 5 + column`, which both see.

    ## Starting State
    The listener is in the centre. The goal is one of the eight cells at two moves from
    it, uniformly, by one uniform number of `np_random`.

    ## Rewards
    The same for both: 1 for entering the right goal, else 0.

    ## Episode End
    Termination of both agents when the listener enters any goal. Truncation of both
    after `max_cycles` steps.

    ## Information
    None: each agent's `info` is always empty.

    ## Arguments
    - `max_cycles`: the most steps of an episode; 20.
    - `render_mode`: `"human"`, `"ansi"`, `"rgb_array"` or None. Pictures show the right
      goal with a flag (`G` in text), the others without (`g`).

    An unknown render mode and a `max_cycles` below 1 raise `ValueError`.

    ## Vectorized
    No native form.

    ## Version History
    - v0: first version.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 - PettingZoo declares it so
        "name": "signal_v0",
        "render_modes": ["human", "ansi", "rgb_array"],
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(self, max_cycles: int = 20, render_mode: str | None = None) -> None:
        modes = self.metadata["render_modes"]
        if render_mode is not None and render_mode not in modes:
            raise ValueError(
                f"render_mode {render_mode!r} is not available; choose from "
                f"{[*modes, None]}"
            )
        if max_cycles < 1:
            raise ValueError(f"max_cycles {max_cycles} leaves no step; give at least 1")
        self.max_cycles = max_cycles
        self.render_mode = render_mode
        self.possible_agents = [_SPEAKER, _LISTENER]
        self.agents: list[str] = []
        self._observation_spaces = {
            agent: spaces.MultiDiscrete([2, len(_GOALS) + 1, _CELLS])
            for agent in self.possible_agents
        }
        self._action_spaces = {
            agent: spaces.Discrete(5) for agent in self.possible_agents
        }
        self._next_cell: list[list[int]] = _world(0).next_state[..., 0].tolist()
        self._np_random: np.random.Generator | None = None
        self._goal = self._cell = self._steps = 0
        self._window = Window()

    @property
    def goals(self) -> tuple[int, ...]:
        """The cells that can be the goal, `row * 5 + column`, in reading order."""
        return _GOALS

    def observation_space(self, agent: str) -> spaces.MultiDiscrete:
        """The space of an agent's observations, always the same object."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Discrete[Any]:
        """The space of an agent's actions, always the same object."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Starts an episode.

        Args:
            seed: Seeds the draws of this and the following goals, if given.
            options: ``{"goal": g}`` makes g the goal, 0 to 7, so that a policy can be
                played on all of them; the draw is made and put aside.

        Returns:
            (observations, infos), by agent.

        Raises:
            ValueError: A goal that does not exist, or an option that would have no
                effect.
        """
        check_options(options, ("goal",), self)
        if seed is not None or self._np_random is None:
            self._np_random, _ = seeding.np_random(
                None if seed is None else integer_seed(seed)
            )
        drawn = int(len(_GOALS) * self._np_random.random())
        self._goal = _checked((options or {}).get("goal", drawn))
        self._cell, self._steps = _START, 0
        self.agents = [*self.possible_agents]
        if self.render_mode == "human":
            self.render()
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        Observations,
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Moves the listener by one step.

        Args:
            actions: An action of each agent, the speaker's included.

        Returns:
            (observations, rewards, terminations, truncations, infos), by agent. After
            the episode's end, without actions, five empty dictionaries.

        Raises:
            NotResetError: Before the first reset, or actions after the episode's end.
            ValueError: An action that is missing, or outside the action space.
        """
        if not self.agents:
            if actions or self._np_random is None:
                raise NotResetError("no episode is going on; call reset() first")
            return {}, {}, {}, {}, {}  # as PettingZoo's own environments answer
        for agent in self.agents:
            if not self._action_spaces[agent].contains(actions.get(agent)):
                raise ValueError(
                    f"action {actions.get(agent)!r} of {agent!r} is outside the "
                    "action space; both agents need one of the integers 0 ... 4"
                )
        self._cell = self._next_cell[self._cell][actions[_LISTENER]]
        self._steps += 1
        terminated = self._cell in _GOALS
        truncated = not terminated and self._steps >= self.max_cycles
        reward = float(self._cell == _GOALS[self._goal])
        agents = self.agents
        if terminated or truncated:
            self.agents = []
        if self.render_mode == "human":
            self.render()
        return (
            self._observations(),
            dict.fromkeys(agents, reward),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: {} for agent in agents},
        )

    def render(self) -> str | NDArray[np.uint8] | None:
        """A picture of the present state, in the form that ``render_mode`` names.

        Returns:
            A text (``"ansi"``), an image of shape (height, width, 3) (``"rgb_array"``),
            or None (``"human"``, which shows the image in a window).

        Raises:
            NotResetError: Before the first reset.
            MissingExtraError: ``"human"`` without the extra ``render``.
        """
        if self.render_mode is None:
            gym.logger.warn(
                "render() without a render mode shows nothing; make the environment "
                'with render_mode="rgb_array", say'
            )
            return None
        if self._np_random is None:
            raise NotResetError("render before the first reset; call reset() first")
        if self.render_mode == "ansi":
            return draw_text(_scene(self._goal), self._cell)
        pixels = draw_pixels(_scene(self._goal), self._cell)
        if self.render_mode == "human":
            self._window.show(pixels, self.metadata["render_fps"])
            return None
        return pixels

    def close(self) -> None:
        """Closes the window, if there is one."""
        self._window.close()

    def mdp(self, goal: int) -> TabularMDP:
        """The listener's world if it knew the goal: states are cells.

        Args:
            goal: Which one, 0 to 7.

        Raises:
            ValueError: A goal that does not exist.
        """
        return _world(_checked(goal))

    def optimal_return(
        self, gamma: float, communication: bool = True, delay: int = 1
    ) -> float:
        """The largest expected discounted return of the two agents, exactly.

        The listener walks blindly until it knows the goal: until then it can only
        choose a sequence of actions, and every goal is equally likely. This is a bound
        for every protocol, and it is reached by one that names the goal at once.

        Args:
            gamma: The discount factor, in [0, 1]; the first step's reward counts whole.
            communication: Whether the speaker can tell the goal at all.
            delay: Steps before what the speaker says at the start is heard: 1 for a
                message that is sent along with the first action, 0 for a listener that
                knows the goal from the start.

        Raises:
            ValueError: ``gamma`` outside [0, 1], or a negative delay.
        """
        if delay < 0:
            raise ValueError(f"delay {delay} is negative; give 0 or more steps")
        blind = min(delay, self.max_cycles) if communication else self.max_cycles
        worlds = [_world(goal) for goal in range(len(_GOALS))]
        left = self.max_cycles - blind
        ahead = np.mean(
            [world.finite_horizon_optimum(gamma, left) for world in worlds], axis=0
        )
        reward = np.mean([world.reward[..., 0] for world in worlds], axis=0)
        going_on = gamma * ~worlds[0].terminated[..., 0]
        following = worlds[0].next_state[..., 0]
        for _ in range(blind):
            ahead = (reward + going_on * ahead[following]).max(axis=1)
        return float(ahead[_START])

    def _observations(self) -> Observations:
        return {
            _SPEAKER: np.array([0, self._goal, self._cell]),
            _LISTENER: np.array([1, _NO_GOAL, self._cell]),
        }


def parallel_env(**kwargs: Any) -> SignalEnv:
    """The environment in its own form; the arguments are those of the class."""
    return SignalEnv(**kwargs)


def raw_env(**kwargs: Any) -> AECEnv[str, NDArray[np.int64], int | None]:
    """The environment with its agents in turn, in PettingZoo's AEC form."""
    return parallel_to_aec(parallel_env(**kwargs))


def env(**kwargs: Any) -> AECEnv[str, NDArray[np.int64], int | None]:
    """The AEC form with PettingZoo's checks of actions and of the order of calls."""
    return wrappers.OrderEnforcingWrapper(
        wrappers.AssertOutOfBoundsWrapper(raw_env(**kwargs))
    )


def _checked(goal: Any) -> int:
    if goal not in range(len(_GOALS)):
        raise ValueError(f"goal {goal!r} does not exist; goals are 0 ... 7")
    return int(goal)


@cache
def _world(goal: int) -> TabularMDP:
    """Simple Grid's moves, with all goals as ends and a reward for one of them."""
    homes = np.array(_GOALS)
    moves = grid_mdp((_SIZE, _SIZE), (0, 0), divmod(_START, _SIZE))
    following = moves.next_state.copy()
    following[homes] = homes[:, None, None]  # an end is never left
    entered = np.isin(following, homes)
    reward = (following == homes[goal]).astype(np.float64)
    reward[homes] = 0.0
    return TabularMDP(
        moves.probability, following, reward, entered, moves.start, moves.shape
    )


@cache
def _scene(goal: int) -> GridScene:
    letters = np.full(_CELLS, ".")
    letters[_START] = "S"
    letters[list(_GOALS)] = "g"
    letters[_GOALS[goal]] = "G"
    rows = letters.reshape(_SIZE, _SIZE)
    return GridScene(tuple("".join(row) for row in rows))
