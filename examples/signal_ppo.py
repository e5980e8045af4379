"""Two agents learn to talk: Stable-Baselines3's PPO on Signal, under a byte budget.

The speaker sees the goal, the listener walks, and one policy plays both. Without
messages nobody can do better than walk to some goal; with a byte a step, they find
a language. A policy's return is exact: it is played once for each of the eight goals,
without exploration. The film shows these episodes; the numbers that fly are messages.

``python examples/signal_ppo.py`` takes seconds, and learns little; with ``--seeds 10
--budget 0 1 --steps 250000`` it writes a table of ten seeds, a minute each on one core:
without messages all reach the best return exactly; with them most serve at least seven
goals of the eight, and some get stuck with fewer, with 450000 steps too.
"""

import argparse
import csv
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import PIL.Image
import PIL.ImageDraw
import PIL.ImageFont
from commenv_baselines.sb3_envs import ParallelVecEnv
from commenv_baselines.sb3_models import RandomState, one_thread
from gymnasium import spaces
from numpy.typing import NDArray
from pettingzoo.utils import BaseParallelWrapper
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback

import commenv
from commenv.multiagent.signal_v0 import SignalEnv
from commenv.study.policies.animation import Film
from commenv.study.storage.files import write_atomically

GAMMA = 0.9
GOALS = range(8)
COPIES = 64  # of the environment, side by side
EXPLORE = 0.01  # the weight of entropy at first
COLUMNS = ["budget", "seed", "steps", "return", "silent", "best", "gap", "bytes"]
CELL, MARGIN = 64, 128  # pixels


class LessExploration(BaseCallback):
    """Lowers the weight of entropy to 0 over the first four fifths of the training."""

    def __init__(self, steps: int) -> None:
        super().__init__()
        self.steps = steps

    def _on_rollout_start(self) -> None:
        done = self.num_timesteps / (0.8 * self.steps)
        self.model.ent_coef = EXPLORE * max(0.0, 1.0 - done)

    def _on_step(self) -> bool:
        return True


class Moment(NamedTuple):
    """What a step brought."""

    message: int | None  # from the speaker, if one left it
    reward: float
    cell: int  # where the listener is now


class Outspoken(BaseParallelWrapper[str, Any, Any]):
    """Agents that say something in every step, so that they need not learn to."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        self._spaces = {
            agent: spaces.MultiDiscrete(env.action_space(agent).nvec[:-1])
            for agent in env.possible_agents
        }

    def action_space(self, agent: str) -> spaces.MultiDiscrete:
        return self._spaces[agent]

    def step(self, actions: dict[str, NDArray[np.int64]]) -> Any:
        return super().step({agent: [*act, 1] for agent, act in actions.items()})


def talking(budget: int, render_mode: str | None = None) -> Any:
    """Signal with a channel of at most ``budget`` bytes a step for each agent."""
    env = commenv.CommunicationBudget(
        SignalEnv(render_mode=render_mode),
        message_space=spaces.Discrete(8),
        budget=commenv.Budget(bytes=budget, per="step"),
        flatten=True,
        gamma=GAMMA,
    )
    return Outspoken(env)


def train(budget: int, seed: int, steps: int) -> PPO:
    """One policy for both agents, after so many steps of agents."""
    with RandomState(seed), one_thread():
        model = PPO(
            "MlpPolicy",
            ParallelVecEnv([lambda: talking(budget)] * COPIES),
            learning_rate=lambda left: 5e-4 + 3.5e-3 * left,
            n_steps=16,
            batch_size=512,
            n_epochs=4,
            gamma=GAMMA,
            normalize_advantage=False,  # rewards and entropy keep one scale
            seed=seed,
            device="cpu",
        )
        return model.learn(steps, callback=LessExploration(steps))


def play(model: PPO, env: Any, goal: int) -> Iterator[Moment]:
    """An episode without exploration: its start, and then each of its steps."""
    observations, _ = env.reset(seed=0, options={"goal": goal})
    yield Moment(None, 0.0, cell_in(observations))
    sent = 0
    while agents := list(env.agents):
        seen = np.stack([observations[agent] for agent in agents])
        chosen, _ = model.predict(seen, deterministic=True)
        actions = dict(zip(agents, chosen, strict=True))
        observations, rewards, _, _, infos = env.step(actions)
        before, sent = sent, infos["speaker_0"]["comm"]["sent"]
        message = int(actions["speaker_0"][1]) if sent > before else None
        yield Moment(message, rewards["listener_0"], cell_in(observations))


def cell_in(observations: dict[str, NDArray[np.float32]]) -> int:
    """The listener's cell, one-hot after the role (2 numbers) and the goal (9)."""
    return int(observations["listener_0"][11:36].argmax())


def exact_return(model: PPO, budget: int) -> tuple[float, float]:
    """The means over the goals of the discounted return, and of the bytes sent."""
    env, returns, sizes = talking(budget), [], []
    for goal in GOALS:
        _, *steps = play(model, env, goal)
        returns.append(sum(GAMMA**t * step.reward for t, step in enumerate(steps)))
        sizes.append(env.metrics.size.sum())
    return float(np.mean(returns)), float(np.mean(sizes))


def film(model: PPO, budget: int, path: Path) -> Path:
    """The eight episodes, with each message on its way to the listener."""
    env, reel = talking(budget, render_mode="rgb_array"), Film()
    for goal in GOALS:
        board, cell = None, 0
        for after in play(model, env, goal):
            if board is not None and after.message is not None:
                for share in (0.3, 0.7):
                    reel.add(picture(board, goal, cell, after.message, share))
            board, cell = env.render(), after.cell
            reel.add(picture(board, goal, cell))
        reel.add(picture(board, goal, cell))  # to look at where it ended
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, reel.gif(8))
    return path


def picture(
    board: NDArray[np.uint8],
    goal: int,
    cell: int,
    message: int | None = None,
    share: float = 0.0,
) -> NDArray[np.uint8]:
    """The speaker beside the board, and a message a share of the way to the cell."""
    height, width, _ = board.shape
    image = PIL.Image.new("RGB", (MARGIN + width, height), "white")
    image.paste(PIL.Image.fromarray(board), (MARGIN, 0))
    pen, speaker = PIL.ImageDraw.Draw(image), (MARGIN // 2, height // 2)
    disc(pen, speaker, 34, "#4a4439", f"goal {goal}", "white")
    if message is not None:
        row, column = divmod(cell, width // CELL)
        end = MARGIN + column * CELL + CELL // 2, row * CELL + CELL // 2
        place = tuple(
            round(a + share * (b - a)) for a, b in zip(speaker, end, strict=True)
        )
        disc(pen, place, 17, "#2e8b57", str(message), "white")
    return np.asarray(image)


def disc(
    pen: PIL.ImageDraw.ImageDraw,
    centre: tuple[int, ...],
    radius: int,
    colour: str,
    text: str,
    ink: str,
) -> None:
    """A disc with a text in its middle."""
    x, y = centre
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=colour)
    font = PIL.ImageFont.load_default(18)
    pen.text(centre, text, fill=ink, font=font, anchor="mm")


def main(
    folder: Path, budgets: Sequence[int] = (1,), seeds: int = 1, steps: int = 20_000
) -> Path:
    """Trains, prints and writes the table; draws the film of the last policy."""
    world, rows = SignalEnv(), []
    best = world.optimal_return(GAMMA)
    silent = world.optimal_return(GAMMA, communication=False)
    print(f"best return {best:.5f} with messages, {silent:.5f} without")
    for budget in budgets:
        for seed in range(seeds):
            model = train(budget, seed, steps)
            reached, sent = exact_return(model, budget)
            share = (reached - silent) / (best - silent)
            rows.append((budget, seed, steps, reached, silent, best, share, sent))
            print(f"{budget} bytes, seed {seed}: {reached:.5f}, {share:.1%} of the gap")
    text = io.StringIO()
    table = csv.writer(text)
    table.writerow(COLUMNS)
    table.writerows(rows)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "signal_ppo.csv", text.getvalue().encode())
    return film(model, budget, folder / "signal_ppo.gif")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("."))
    parser.add_argument("--budget", type=int, nargs="+", default=[1])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--steps", type=int, default=20_000)
    options = parser.parse_args()
    print(main(options.out, options.budget, options.seeds, options.steps))
